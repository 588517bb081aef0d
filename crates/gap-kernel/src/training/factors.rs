//! The orders in which the three products of a training step read their factors.
//!
//! An instruction takes [`ProductKernel::PRODUCTS_PER_INSTRUCTION`] depths of a column side by side, a *unit*
//! of 32 bits: one factor of 32 bits, or two of 16. The right factor of a product is therefore stored in
//! units, `[depth / PRODUCTS_PER_INSTRUCTION, columns, PRODUCTS_PER_INSTRUCTION]`, while a row of its left
//! factor needs no special order. With one factor to a unit, this is the matrix itself.

use super::parameters::LearnedLayer;
use crate::lanes::ProductKernel;
use crate::packed::AlignedBuffer;
use crate::product::StridedRows;
use std::arch::x86_64::*;

/// The side of the squares in which a matrix of units is transposed.
const TRANSPOSE_SQUARE_SIDE: usize = 8;

/// Interleaves the first `n_rows` of `rows`, `[rows, width]`, so that a unit holds neighbouring rows of a
/// column: `[rows / PRODUCTS_PER_INSTRUCTION, width, PRODUCTS_PER_INSTRUCTION]`. A row that is
/// missing from the last unit counts as zeros.
///
/// With one factor to a unit, `to` is not used, and the result is `rows` as they are.
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

/// A weight as the right factor of the forward and of the backward product.
pub(super) struct WeightFactors<K: ProductKernel> {
    /// Its values as factors, `[in, out]`; empty if the values themselves serve as factors.
    kept: AlignedBuffer<K::Factor>,
    /// `[in / PRODUCTS_PER_INSTRUCTION, out, PRODUCTS_PER_INSTRUCTION]`; empty if `kept` is.
    forward: AlignedBuffer<K::Factor>,
    /// `[out / PRODUCTS_PER_INSTRUCTION, in, PRODUCTS_PER_INSTRUCTION]`
    back: AlignedBuffer<K::Factor>,
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

    /// Where the factors of new values must be stored; `None` if the values themselves serve as factors.
    pub(super) fn kept_factors_ptr(&mut self) -> Option<*mut K::Factor> {
        (K::PRODUCTS_PER_INSTRUCTION > 1).then_some(self.kept.as_mut_slice().as_mut_ptr())
    }

    /// Arranges the factors of `layer` for the forward product. In full precision they are in order already.
    #[inline(always)]
    pub(super) fn arrange_for_forward(&mut self, layer: &LearnedLayer) {
        let values = K::borrow_as_factors(layer.weight.values.as_slice());
        let kept = values.unwrap_or(self.kept.as_slice());
        interleave_rows_by_column::<K>(kept, layer.in_width, layer.out_width, &mut self.forward);
    }

    /// Arranges the factors of `layer` for the backward product, which the first layer often does not need.
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
        // SAFETY: units are 32 bits wide, and both sides are padded to whole registers, which hold at least
        // `TRANSPOSE_SQUARE_SIDE` units.
        unsafe {
            transpose(
                kept.as_ptr().cast(),
                [n_in, n_out / K::PRODUCTS_PER_INSTRUCTION],
                back.cast(),
            );
        };
    }

    /// The right factor of the forward product.
    pub(super) fn forward_factors(&self, layer: &LearnedLayer) -> StridedRows<K::Factor> {
        let values = K::borrow_as_factors(layer.weight.values.as_slice());
        StridedRows {
            first: values.unwrap_or(self.forward.as_slice()).as_ptr(),
            stride: layer.out_width * K::PRODUCTS_PER_INSTRUCTION,
        }
    }

    /// The right factor of the backward product, once it is arranged.
    pub(super) fn backward_factors(&self, layer: &LearnedLayer) -> StridedRows<K::Factor> {
        StridedRows {
            first: self.back.as_slice().as_ptr(),
            stride: layer.in_width * K::PRODUCTS_PER_INSTRUCTION,
        }
    }
}

/// Transposes a matrix of units, `[rows, columns] -> [columns, rows]`; both must be multiples of
/// [`TRANSPOSE_SQUARE_SIDE`].
///
/// # Safety
///
/// As for [`ProductKernel`], but the instructions of any kernel will do; `from` and `to` must be valid for
/// `rows · columns` units.
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

/// Transposes a square of units: interleaves pairs of rows, then pairs of pairs, and then exchanges halves.
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
