//! Buffers and weights, laid out in the order in which products read them.

use crate::lanes::{Lanes, ProductKernel};

/// A cache line, which is as long as the largest register.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct CacheLine(#[allow(dead_code, reason = "it is read through a pointer")] [u8; 64]);

/// A buffer of numbers that begins at a cache line.
pub(crate) struct AlignedBuffer<T> {
    lines: Vec<CacheLine>,
    len: usize,
    of: std::marker::PhantomData<T>,
}

impl<T: Copy + Default> AlignedBuffer<T> {
    /// Makes a buffer of `len` zeros. `T` must be a number type whose zero has all bits zero.
    pub(crate) fn zeros(len: usize) -> Self {
        let n_lines = (len * size_of::<T>()).div_ceil(64);
        Self {
            lines: vec![CacheLine([0; 64]); n_lines],
            len,
            of: std::marker::PhantomData,
        }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: the lines hold at least `len` initialised numbers, and every bit pattern is a valid number.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as in `as_slice`, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// Neighbouring columns of a weight, in 1 to 3 registers, whose sums a product computes together.
#[derive(Clone, Copy)]
pub(crate) struct ColumnPanel {
    /// The number of registers: 1, 2 or 3.
    pub(crate) n_vectors: usize,
    /// The first column.
    pub(crate) column: usize,
    /// The position of its first factor in `PackedWeight::factors`.
    pub(crate) start: usize,
}

/// A weight, `[depth, columns]`, packed as the right factor of products: panel by panel, within a panel depth
/// by depth, and at each depth the columns side by side (with 16-bit factors, two depths of each column).
///
/// Zeros pad the columns to whole registers, and the depth to a multiple of
/// [`ProductKernel::PRODUCTS_PER_INSTRUCTION`].
pub(crate) struct PackedWeight<K: ProductKernel> {
    pub(crate) factors: AlignedBuffer<K::Factor>,
    pub(crate) panels: Vec<ColumnPanel>,
    /// The number of steps through the depth; one instruction takes all depths of a step.
    pub(crate) n_steps: usize,
    /// The number of columns, padding included.
    pub(crate) width: usize,
}

/// Rounds `n` up to a multiple of the lanes of a register.
pub(crate) fn round_up_to_lanes<L: Lanes>(n: usize) -> usize {
    n.div_ceil(L::LANES) * L::LANES
}

impl<K: ProductKernel> PackedWeight<K> {
    /// Packs the weight with the entries `at(depth, column)`.
    pub(crate) fn new(depth: usize, columns: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        let lanes = K::Lanes::LANES;
        let n_vectors = columns.div_ceil(lanes);
        let n_steps = depth.div_ceil(K::PRODUCTS_PER_INSTRUCTION);
        let width = n_vectors * lanes;
        let mut factors = AlignedBuffer::zeros(width * n_steps * K::PRODUCTS_PER_INSTRUCTION);
        let mut panels = Vec::new();
        let (mut start, mut first) = (0, 0);
        for share in even_panel_sizes(n_vectors, K::MAX_PANEL_VECTORS) {
            panels.push(ColumnPanel {
                n_vectors: share,
                column: first * lanes,
                start,
            });
            for d in 0..depth {
                let (step, within) = (
                    d / K::PRODUCTS_PER_INSTRUCTION,
                    d % K::PRODUCTS_PER_INSTRUCTION,
                );
                for c in 0..share * lanes {
                    let column = first * lanes + c;
                    if column < columns {
                        let place = start
                            + (step * share * lanes + c) * K::PRODUCTS_PER_INSTRUCTION
                            + within;
                        factors.as_mut_slice()[place] = K::to_factor(at(d, column));
                    }
                }
            }
            start += share * lanes * n_steps * K::PRODUCTS_PER_INSTRUCTION;
            first += share;
        }
        Self {
            factors,
            panels,
            n_steps,
            width,
        }
    }
}

/// Divides `n` registers into panels of at most `most`, and yields the panels' sizes. They are as even as
/// possible, since a panel of one register is slow.
pub(crate) fn even_panel_sizes(n: usize, most: usize) -> impl Iterator<Item = usize> {
    let n_panels = n.div_ceil(most);
    (0..n_panels).map(move |i| n / n_panels + usize::from(i < n % n_panels))
}

#[cfg(test)]
mod tests {
    use super::even_panel_sizes;

    #[test]
    fn panels_are_even_and_hold_every_register() {
        for n in 1..100 {
            for most in [2, 3] {
                let shares: Vec<usize> = even_panel_sizes(n, most).collect();
                assert_eq!(shares.iter().sum::<usize>(), n);
                let (least, greatest) = (shares.iter().min(), shares.iter().max());
                assert!(greatest <= Some(&most) && greatest <= least.map(|l| l + 1).as_ref());
            }
        }
    }
}
