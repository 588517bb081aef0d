//! Numbers in the orders in which the three products of a step take them.
//!
//! An instruction takes [`ProductKernel::PRODUCTS_PER_INSTRUCTION`] depths of a column side by side, a *unit*
//! of 32 bits: one factor of 32, or two of 16. The right factor of a product therefore lies in units,
//! `[depth / PRODUCTS_PER_INSTRUCTION, columns, PRODUCTS_PER_INSTRUCTION]`, while a row of its left factor
//! needs no order of its own. With one factor to a unit all of this is the matrix as it is.

use super::parameters::LearnedLayer;
use crate::lanes::ProductKernel;
use crate::packed::AlignedBuffer;
use crate::product::StridedRows;
use std::arch::x86_64::*;

/// The side of the squares in which units are transposed.
const TRANSPOSE_SQUARE_SIDE: usize = 8;

/// The first `n_rows` of `rows`, `[rows, width]`, in units that go down the columns:
/// `[rows / PRODUCTS_PER_INSTRUCTION, width, PRODUCTS_PER_INSTRUCTION]`, with zeros for a row that is missing
/// from the last of them.
///
/// `to` is only written to where a unit holds more than one factor.
#[inline(always)]
pub(super) fn interleave_rows_by_column<'a, K: ProductKernel>(
    rows: &'a [K::Factor],
    n_rows: usize,
    width: usize,
    to: &'a mut AlignedBuffer<K::Factor>,
) -> StridedRows<K::Factor> {
    let stride = width * K::PRODUCTS_PER_INSTRUCTION;
    if K::PRODUCTS_PER_INSTRUCTION == 1 {
        let first = rows.as_ptr();
        return StridedRows { first, stride };
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
    StridedRows { first, stride }
}

/// A weight as the right factor of a product forward and of one back.
pub(super) struct WeightFactors<K: ProductKernel> {
    /// Its values as factors, `[in, out]`; empty if those are the values themselves.
    kept: AlignedBuffer<K::Factor>,
    forward: AlignedBuffer<K::Factor>, // [in / PRODUCTS_PER_INSTRUCTION, out, PRODUCTS_PER_INSTRUCTION], or empty as above
    back: AlignedBuffer<K::Factor>, // [out / PRODUCTS_PER_INSTRUCTION, in, PRODUCTS_PER_INSTRUCTION]
}

impl<K: ProductKernel> WeightFactors<K> {
    pub(super) fn from_layer(layer: &LearnedLayer) -> Self {
        let values = layer.weight.values.as_slice();
        let n_kept = match K::borrow_as_factors(values) {
            Some(_) => 0,
            None => values.len(),
        };
        let mut weight = Self {
            kept: AlignedBuffer::zeros(n_kept),
            forward: AlignedBuffer::zeros(n_kept),
            back: AlignedBuffer::zeros(values.len()),
        };
        for (kept, &value) in weight.kept.as_mut_slice().iter_mut().zip(values) {
            *kept = K::to_factor(value);
        }
        weight
    }

    /// Where new values are to be kept as factors, if they have to be.
    pub(super) fn kept_factors_ptr(&mut self) -> Option<*mut K::Factor> {
        (K::PRODUCTS_PER_INSTRUCTION > 1).then_some(self.kept.as_mut_slice().as_mut_ptr())
    }

    /// Brings what is kept of `layer` into order for the way forward.
    #[inline(always)]
    pub(super) fn arrange_for_forward(&mut self, layer: &LearnedLayer) {
        let values = K::borrow_as_factors(layer.weight.values.as_slice());
        let kept = values.unwrap_or(self.kept.as_slice());
        interleave_rows_by_column::<K>(kept, layer.in_width, layer.out_width, &mut self.forward);
    }

    /// The same for the way back, which not every layer is taken.
    ///
    /// # Safety
    ///
    /// As for [`ProductKernel`].
    #[inline(always)]
    pub(super) unsafe fn arrange_for_backward(&mut self, layer: &LearnedLayer) {
        let (n_in, n_out) = (layer.in_width, layer.out_width);
        let values = K::borrow_as_factors(layer.weight.values.as_slice());
        let kept = values.unwrap_or(self.kept.as_slice());
        let back = self.back.as_mut_slice().as_mut_ptr();
        // SAFETY: units are 32 bits wide, and both sides are whole registers, which hold at least
        // `TRANSPOSE_SQUARE_SIDE` units.
        unsafe {
            transpose(
                kept.as_ptr().cast(),
                [n_in, n_out / K::PRODUCTS_PER_INSTRUCTION],
                back.cast(),
            );
        };
    }

    /// For the way forward.
    pub(super) fn forward_factors(&self, layer: &LearnedLayer) -> StridedRows<K::Factor> {
        let values = K::borrow_as_factors(layer.weight.values.as_slice());
        StridedRows {
            first: values.unwrap_or(self.forward.as_slice()).as_ptr(),
            stride: layer.out_width * K::PRODUCTS_PER_INSTRUCTION,
        }
    }

    /// For the way back, once it is arranged.
    pub(super) fn backward_factors(&self, layer: &LearnedLayer) -> StridedRows<K::Factor> {
        StridedRows {
            first: self.back.as_slice().as_ptr(),
            stride: layer.in_width * K::PRODUCTS_PER_INSTRUCTION,
        }
    }
}

/// `[rows, columns] -> [columns, rows]` of units, both multiples of [`TRANSPOSE_SQUARE_SIDE`].
///
/// # Safety
///
/// As for [`ProductKernel`], of any path; both matrices are there.
#[inline(always)]
unsafe fn transpose(from: *const f32, [rows, columns]: [usize; 2], to: *mut f32) {
    for column in (0..columns).step_by(TRANSPOSE_SQUARE_SIDE) {
        for row in (0..rows).step_by(TRANSPOSE_SQUARE_SIDE) {
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
unsafe fn transposed(r: [__m256; TRANSPOSE_SQUARE_SIDE]) -> [__m256; TRANSPOSE_SQUARE_SIDE] {
    unsafe {
        let mut pairs = r;
        for i in (0..TRANSPOSE_SQUARE_SIDE).step_by(2) {
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
