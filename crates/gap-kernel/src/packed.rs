//! Memory in the order in which products read it.

use crate::lanes::{Lanes, ProductKernel};

/// A line of the cache; also the largest register.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct CacheLine(#[allow(dead_code, reason = "it is read through a pointer")] [u8; 64]);

/// Plain numbers that begin at a line of the cache. Zeros at first.
pub(crate) struct AlignedBuffer<T> {
    lines: Vec<CacheLine>,
    len: usize,
    of: std::marker::PhantomData<T>,
}

impl<T: Copy + Default> AlignedBuffer<T> {
    /// `len` zeros. `T` is a plain number, whose zero is all bits zero.
    pub(crate) fn zeros(len: usize) -> Self {
        let n_lines = (len * size_of::<T>()).div_ceil(64);
        Self {
            lines: vec![CacheLine([0; 64]); n_lines],
            len,
            of: std::marker::PhantomData,
        }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: the lines hold at least `len` numbers, initialised, of no invalid pattern.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// Columns that are summed up together, in as many registers.
#[derive(Clone, Copy)]
pub(crate) struct ColumnPanel {
    /// Registers: 1, 2 or 3.
    pub(crate) n_vectors: usize,
    /// The first column.
    pub(crate) column: usize,
    /// Where its factors begin.
    pub(crate) start: usize,
}

/// A weight as the right factor of products, `[depth, columns]`: panel by panel, in each depth by
/// depth, in each the columns side by side (with 16-bit factors, two depths of each column).
///
/// Columns are filled up with zeros to whole registers, depths to whole
/// [`ProductKernel::PRODUCTS_PER_INSTRUCTION`]s.
pub(crate) struct PackedWeight<K: ProductKernel> {
    pub(crate) factors: AlignedBuffer<K::Factor>,
    pub(crate) panels: Vec<ColumnPanel>,
    /// Instructions that go through the depth.
    pub(crate) n_steps: usize,
    /// Columns, those that fill up included.
    pub(crate) width: usize,
}

/// The least multiple of the lanes that holds `n`.
pub(crate) fn round_up_to_lanes<L: Lanes>(n: usize) -> usize {
    n.div_ceil(L::LANES) * L::LANES
}

impl<K: ProductKernel> PackedWeight<K> {
    /// Of `at(depth, column)`.
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

/// `n` registers in panels of at most `most`, as even as can be: a panel of one is slow.
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
