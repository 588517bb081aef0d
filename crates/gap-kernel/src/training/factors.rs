//! Numbers in the orders in which the three products of a step take them.
//!
//! An instruction takes [`Kernel::PRODUCTS_PER_INSTRUCTION`] depths of a column side by side, a *unit* of 32 bits: one
//! factor of 32, or two of 16. The right factor of a product therefore lies in units, `[depth / PRODUCTS_PER_INSTRUCTION,
//! columns, PRODUCTS_PER_INSTRUCTION]`, while a row of its left factor needs no order of its own. With one factor to a unit
//! all of this is the matrix as it is.

use super::parameters::LearnedLayer;
use crate::lanes::Kernel;
use crate::packed::Aligned;
use crate::product::Rows;
use std::arch::x86_64::*;

/// The side of the squares in which units are transposed.
const SIDE: usize = 8;

/// The first `n_rows` of `rows`, `[rows, width]`, in units that go down the columns:
/// `[rows / PRODUCTS_PER_INSTRUCTION, width, PRODUCTS_PER_INSTRUCTION]`, with zeros for a row that is missing from the last of them.
///
/// `to` is only written to where a unit holds more than one factor.
#[inline(always)]
pub(super) fn down_columns<'a, K: Kernel>(
    rows: &'a [K::Factor],
    n_rows: usize,
    width: usize,
    to: &'a mut Aligned<K::Factor>,
) -> Rows<K::Factor> {
    let stride = width * K::PRODUCTS_PER_INSTRUCTION;
    if K::PRODUCTS_PER_INSTRUCTION == 1 {
        let first = rows.as_ptr();
        return Rows { first, stride };
    }
    assert_eq!(
        K::PRODUCTS_PER_INSTRUCTION,
        2,
        "a unit holds one factor or two"
    );
    let places = to.as_mut_slice().chunks_exact_mut(stride);
    for (place, pair) in places.zip(rows[..n_rows * width].chunks(stride)) {
        let (upper, lower) = pair.split_at(width);
        let units = place.chunks_exact_mut(2).zip(upper);
        if lower.is_empty() {
            units.for_each(|(unit, &upper)| unit.copy_from_slice(&[upper, K::Factor::default()]));
        } else {
            for ((unit, &upper), &lower) in units.zip(lower) {
                unit.copy_from_slice(&[upper, lower]);
            }
        }
    }
    let first = to.as_slice().as_ptr();
    Rows { first, stride }
}

/// A weight as the right factor of a product forward and of one back.
pub(super) struct WeightFactors<K: Kernel> {
    /// Its values as factors, `[in, out]`; empty if those are the values themselves.
    kept: Aligned<K::Factor>,
    forward: Aligned<K::Factor>, // [in / PRODUCTS_PER_INSTRUCTION, out, PRODUCTS_PER_INSTRUCTION], or empty as above
    back: Aligned<K::Factor>,    // [out / PRODUCTS_PER_INSTRUCTION, in, PRODUCTS_PER_INSTRUCTION]
}

impl<K: Kernel> WeightFactors<K> {
    pub(super) fn of(layer: &LearnedLayer) -> Self {
        let values = layer.weight.values.as_slice();
        let n_kept = match K::as_factors(values) {
            Some(_) => 0,
            None => values.len(),
        };
        let mut weight = Self {
            kept: Aligned::zeros(n_kept),
            forward: Aligned::zeros(n_kept),
            back: Aligned::zeros(values.len()),
        };
        for (kept, &value) in weight.kept.as_mut_slice().iter_mut().zip(values) {
            *kept = K::to_factor(value);
        }
        weight
    }

    /// Where new values are to be kept as factors, if they have to be.
    pub(super) fn place_to_keep(&mut self) -> Option<*mut K::Factor> {
        (K::PRODUCTS_PER_INSTRUCTION > 1).then_some(self.kept.as_mut_slice().as_mut_ptr())
    }

    /// Brings what is kept of `layer` into order for the way forward.
    #[inline(always)]
    pub(super) fn arrange_forward(&mut self, layer: &LearnedLayer) {
        let values = K::as_factors(layer.weight.values.as_slice());
        let kept = values.unwrap_or(self.kept.as_slice());
        down_columns::<K>(kept, layer.in_width, layer.out_width, &mut self.forward);
    }

    /// The same for the way back, which not every layer is taken.
    ///
    /// # Safety
    ///
    /// As for [`Kernel`].
    #[inline(always)]
    pub(super) unsafe fn arrange_back(&mut self, layer: &LearnedLayer) {
        let (n_in, n_out) = (layer.in_width, layer.out_width);
        let values = K::as_factors(layer.weight.values.as_slice());
        let kept = values.unwrap_or(self.kept.as_slice());
        let back = self.back.as_mut_slice().as_mut_ptr();
        // SAFETY: units are 32 bits wide, and both sides are whole registers, which hold at least
        // `SIDE` units.
        unsafe {
            transpose(
                kept.as_ptr().cast(),
                [n_in, n_out / K::PRODUCTS_PER_INSTRUCTION],
                back.cast(),
            );
        };
    }

    /// For the way forward.
    pub(super) fn forward(&self, layer: &LearnedLayer) -> Rows<K::Factor> {
        let values = K::as_factors(layer.weight.values.as_slice());
        Rows {
            first: values.unwrap_or(self.forward.as_slice()).as_ptr(),
            stride: layer.out_width * K::PRODUCTS_PER_INSTRUCTION,
        }
    }

    /// For the way back, once it is arranged.
    pub(super) fn back(&self, layer: &LearnedLayer) -> Rows<K::Factor> {
        Rows {
            first: self.back.as_slice().as_ptr(),
            stride: layer.in_width * K::PRODUCTS_PER_INSTRUCTION,
        }
    }
}

/// `[rows, columns] -> [columns, rows]` of units, both multiples of [`SIDE`].
///
/// # Safety
///
/// As for [`Kernel`], of any path; both matrices are there.
#[inline(always)]
unsafe fn transpose(from: *const f32, [rows, columns]: [usize; 2], to: *mut f32) {
    for column in (0..columns).step_by(SIDE) {
        for row in (0..rows).step_by(SIDE) {
            unsafe {
                let square = std::array::from_fn(|r| {
                    _mm256_loadu_ps(from.add((row + r) * columns + column))
                });
                for (c, units) in transposed(square).into_iter().enumerate() {
                    _mm256_storeu_ps(to.add((column + c) * rows + row), units);
                }
            }
        }
    }
}

/// A square of units: pairs of rows are interleaved, then pairs of pairs, then halves change places.
#[inline(always)]
unsafe fn transposed(r: [__m256; SIDE]) -> [__m256; SIDE] {
    unsafe {
        let mut pairs = r;
        for i in (0..SIDE).step_by(2) {
            pairs[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
            pairs[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
        }
        let mut fours = pairs;
        for i in [0, 4] {
            fours[i] = _mm256_shuffle_ps::<0x44>(pairs[i], pairs[i + 2]);
            fours[i + 1] = _mm256_shuffle_ps::<0xee>(pairs[i], pairs[i + 2]);
            fours[i + 2] = _mm256_shuffle_ps::<0x44>(pairs[i + 1], pairs[i + 3]);
            fours[i + 3] = _mm256_shuffle_ps::<0xee>(pairs[i + 1], pairs[i + 3]);
        }
        let mut columns = fours;
        for i in 0..4 {
            columns[i] = _mm256_permute2f128_ps::<0x20>(fours[i], fours[i + 4]);
            columns[i + 4] = _mm256_permute2f128_ps::<0x31>(fours[i], fours[i + 4]);
        }
        columns
    }
}
