//! Products of a tile of rows with a weight; every finished sum goes to an epilogue.

use crate::lanes::{Lanes, ProductKernel};
use crate::packed::{ColumnPanel, PackedWeight, even_panel_sizes};

/// What is done with a row's finished sums while they are in registers, such as adding a bias.
///
/// # Safety
///
/// As for [`Lanes`]; `row` and `column` must lie in the memory that the epilogue was made with.
pub(crate) trait Epilogue<L: Lanes> {
    /// Finishes the sums of one register: those of `row` in the columns from `column` on.
    unsafe fn finish_one(&self, row: usize, column: usize, sum: L::Vector);

    /// Finishes the sums of `V` neighbouring registers, from `column` on.
    #[inline(always)]
    unsafe fn finish<const V: usize>(&self, row: usize, column: usize, sums: [L::Vector; V]) {
        for (v, sum) in sums.into_iter().enumerate() {
            unsafe { self.finish_one(row, column + v * L::LANES, sum) };
        }
    }
}

/// Rows of factors, each at the same distance from the one before.
#[derive(Clone, Copy)]
pub(crate) struct StridedRows<T> {
    pub(crate) first: *const T,
    pub(crate) stride: usize,
}

/// The left factor of a product. At step `s` of the depth, row `r` has its
/// [`ProductKernel::PRODUCTS_PER_INSTRUCTION`] factors at `first + r · row + s · step`.
#[derive(Clone, Copy)]
pub(crate) struct LeftFactor<T> {
    first: *const T,
    row: usize,
    step: usize,
}

impl<T> StridedRows<T> {
    /// Returns these rows as a left factor; a step takes `per_step` neighbouring factors of each row.
    pub(crate) fn left_factor(self, per_step: usize) -> LeftFactor<T> {
        LeftFactor {
            first: self.first,
            row: self.stride,
            step: per_step,
        }
    }

    /// Returns the transpose of these rows as a left factor. Each row of the left factor is one of their
    /// columns, and a column is `per_step` factors wide.
    pub(crate) fn transposed_left_factor(self, per_step: usize) -> LeftFactor<T> {
        LeftFactor {
            first: self.first,
            row: per_step,
            step: self.stride,
        }
    }
}

/// A panel of a right factor. `first` points to the factors of its columns at the first step of the depth;
/// those at each further step lie `stride` factors after the ones before.
#[derive(Clone, Copy)]
struct PanelColumns<T> {
    first: *const T,
    stride: usize,
}

/// Computes `left · right` for rows `0..n_rows`: blocks of [`ProductKernel::MICROKERNEL_ROWS`] rows, and then
/// the remaining rows one by one. If more than a few remain, padding them to a block is faster (see
/// [`fastest_padded_n_rows`]).
///
/// # Safety
///
/// As for [`ProductKernel`]; `left` must have `n_rows` rows, each as long as `right` is deep.
#[inline(always)]
pub(crate) unsafe fn product<K: ProductKernel, E: Epilogue<K::Lanes>>(
    left: StridedRows<K::Factor>,
    n_rows: usize,
    right: &PackedWeight<K>,
    epilogue: &E,
) {
    let left = left.left_factor(K::PRODUCTS_PER_INSTRUCTION);
    for panel in &right.panels {
        let columns = PanelColumns {
            // SAFETY: a panel lies within the weight's factors.
            first: unsafe { right.factors.as_slice().as_ptr().add(panel.start) },
            stride: panel.n_vectors * K::Lanes::LANES * K::PRODUCTS_PER_INSTRUCTION,
        };
        unsafe { through_panel::<K, E>(left, n_rows, columns, right.n_steps, *panel, epilogue) };
    }
}

/// Computes `left · right` for rows `0..n_rows` of `left`, where `right` is not packed in panels. Each of its
/// `n_steps` rows holds the factors of one step side by side: [`ProductKernel::PRODUCTS_PER_INSTRUCTION`] for
/// each of the `columns`, which must fill whole registers.
///
/// # Safety
///
/// As for [`product`].
#[inline(always)]
pub(crate) unsafe fn unpacked_product<K: ProductKernel, E: Epilogue<K::Lanes>>(
    left: LeftFactor<K::Factor>,
    n_rows: usize,
    right: StridedRows<K::Factor>,
    n_steps: usize,
    columns: usize,
    epilogue: &E,
) {
    let lanes = K::Lanes::LANES;
    let mut column = 0;
    for n_vectors in even_panel_sizes(columns / lanes, K::MAX_PANEL_VECTORS) {
        let panel = ColumnPanel {
            n_vectors,
            column,
            start: 0,
        };
        let columns = PanelColumns {
            // SAFETY: `column` lies within each row.
            first: unsafe { right.first.add(column * K::PRODUCTS_PER_INSTRUCTION) },
            stride: right.stride,
        };
        unsafe { through_panel::<K, E>(left, n_rows, columns, n_steps, panel, epilogue) };
        column += n_vectors * lanes;
    }
}

/// The number of rows, at least `n_rows`, for which a product is fastest. At most a quarter of a block is
/// computed row by row; a fuller last block is padded to a whole one.
pub(crate) fn fastest_padded_n_rows<K: ProductKernel>(n_rows: usize) -> usize {
    if n_rows % K::MICROKERNEL_ROWS <= K::MICROKERNEL_ROWS / 4 {
        n_rows
    } else {
        n_rows.next_multiple_of(K::MICROKERNEL_ROWS)
    }
}

#[inline(always)]
unsafe fn through_panel<K: ProductKernel, E: Epilogue<K::Lanes>>(
    left: LeftFactor<K::Factor>,
    n_rows: usize,
    right: PanelColumns<K::Factor>,
    n_steps: usize,
    panel: ColumnPanel,
    epilogue: &E,
) {
    unsafe {
        match panel.n_vectors {
            3 if K::MAX_PANEL_VECTORS == 3 => {
                through_rows::<K, E, 3>(left, n_rows, right, n_steps, panel.column, epilogue);
            }
            2 => through_rows::<K, E, 2>(left, n_rows, right, n_steps, panel.column, epilogue),
            _ => through_rows::<K, E, 1>(left, n_rows, right, n_steps, panel.column, epilogue),
        }
    }
}

#[inline(always)]
unsafe fn through_rows<K: ProductKernel, E: Epilogue<K::Lanes>, const V: usize>(
    left: LeftFactor<K::Factor>,
    n_rows: usize,
    right: PanelColumns<K::Factor>,
    n_steps: usize,
    column: usize,
    epilogue: &E,
) {
    let from = |row: usize| LeftFactor {
        // SAFETY: the row is one of `n_rows`.
        first: unsafe { left.first.add(row * left.row) },
        ..left
    };
    let in_blocks = n_rows / K::MICROKERNEL_ROWS * K::MICROKERNEL_ROWS;
    for row in (0..in_blocks).step_by(K::MICROKERNEL_ROWS) {
        let block = from(row);
        unsafe {
            // The number of rows must be a literal here: each kernel's is 8 or 4.
            if K::MICROKERNEL_ROWS == 8 {
                let sums = block_sums::<K, 8, V>(block, right, n_steps);
                finish::<K, E, 8, V>(row, column, sums, epilogue);
            } else {
                let sums = block_sums::<K, 4, V>(block, right, n_steps);
                finish::<K, E, 4, V>(row, column, sums, epilogue);
            }
        }
    }
    for row in in_blocks..n_rows {
        unsafe {
            let sums = block_sums::<K, 1, V>(from(row), right, n_steps);
            finish::<K, E, 1, V>(row, column, sums, epilogue);
        }
    }
}

type BlockSums<K, const R: usize, const V: usize> =
    [[<<K as ProductKernel>::Lanes as Lanes>::Vector; V]; R];

/// Returns the sums of products of `R` rows with `V` registers of columns. Nearly all the time is spent in
/// this loop.
#[inline(always)]
unsafe fn block_sums<K: ProductKernel, const R: usize, const V: usize>(
    left: LeftFactor<K::Factor>,
    right: PanelColumns<K::Factor>,
    n_steps: usize,
) -> BlockSums<K, R, V> {
    unsafe {
        let per_vector = K::Lanes::LANES * K::PRODUCTS_PER_INSTRUCTION;
        let mut sums = [[K::Lanes::splat(0.0); V]; R];
        for step in 0..n_steps {
            let here = right.first.add(step * right.stride);
            let mut factors = [K::load(here); V];
            for (v, factors) in factors.iter_mut().enumerate().skip(1) {
                *factors = K::load(here.add(v * per_vector));
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let repeated = K::repeat(left.first.add(r * left.row + step * left.step));
                for (sum, &factors) in sums.iter_mut().zip(&factors) {
                    *sum = K::accumulate(repeated, factors, *sum);
                }
            }
        }
        sums
    }
}

#[inline(always)]
unsafe fn finish<K: ProductKernel, E: Epilogue<K::Lanes>, const R: usize, const V: usize>(
    row: usize,
    column: usize,
    sums: BlockSums<K, R, V>,
    epilogue: &E,
) {
    for (r, sums) in sums.into_iter().enumerate() {
        unsafe { epilogue.finish(row + r, column, sums) };
    }
}
