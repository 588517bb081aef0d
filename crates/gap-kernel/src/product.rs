//! A tile of rows times a packed weight; each finished sum goes to an epilogue.

use crate::lanes::{Kernel, Lanes};
use crate::packed::{Packed, Panel};

/// What becomes of a row's sums in `V` neighbouring registers of columns.
///
/// # Safety
///
/// As for [`Lanes`]; `row` and `column` must lie in the memory that the epilogue was made with.
pub(crate) trait Epilogue<L: Lanes> {
    unsafe fn finish<const V: usize>(&self, row: usize, column: usize, sums: [L::Vector; V]);
}

/// Rows of factors, each at the same distance from the one before.
#[derive(Clone, Copy)]
pub(crate) struct Rows<T> {
    pub(crate) first: *const T,
    pub(crate) stride: usize,
}

/// `left · right` for rows `0..n_rows`, a multiple of [`Kernel::ROWS`].
///
/// # Safety
///
/// As for [`Kernel`]; `left` has that many rows, as deep as `right`.
#[inline(always)]
pub(crate) unsafe fn product<K: Kernel, E: Epilogue<K::Lanes>>(
    left: Rows<K::Factor>,
    n_rows: usize,
    right: &Packed<K>,
    epilogue: &E,
) {
    for panel in &right.panels {
        unsafe {
            match panel.n_vectors {
                3 if K::VECTORS == 3 => {
                    through_panel::<K, E, 3>(left, n_rows, right, *panel, epilogue);
                }
                2 => through_panel::<K, E, 2>(left, n_rows, right, *panel, epilogue),
                _ => through_panel::<K, E, 1>(left, n_rows, right, *panel, epilogue),
            }
        }
    }
}

#[inline(always)]
unsafe fn through_panel<K: Kernel, E: Epilogue<K::Lanes>, const V: usize>(
    left: Rows<K::Factor>,
    n_rows: usize,
    right: &Packed<K>,
    panel: Panel,
    epilogue: &E,
) {
    let mut row = 0;
    while row < n_rows {
        unsafe {
            let factors = right.factors.as_slice().as_ptr().add(panel.start);
            let block = Rows {
                first: left.first.add(row * left.stride),
                ..left
            };
            // The number of rows is a constant of the path.
            if K::ROWS == 8 {
                let sums = block_sums::<K, 8, V>(block, factors, right.n_steps);
                finish::<K, E, 8, V>(row, panel.column, sums, epilogue);
            } else {
                let sums = block_sums::<K, 4, V>(block, factors, right.n_steps);
                finish::<K, E, 4, V>(row, panel.column, sums, epilogue);
            }
        }
        row += K::ROWS;
    }
}

type Sums<K, const R: usize, const V: usize> = [[<<K as Kernel>::Lanes as Lanes>::Vector; V]; R];

/// `R` rows times `V` registers of columns: the loop in which nearly all the time goes.
#[inline(always)]
unsafe fn block_sums<K: Kernel, const R: usize, const V: usize>(
    left: Rows<K::Factor>,
    right: *const K::Factor,
    n_steps: usize,
) -> Sums<K, R, V> {
    unsafe {
        let per_vector = K::Lanes::LANES * K::DEPTH;
        let mut sums = [[K::Lanes::splat(0.0); V]; R];
        for step in 0..n_steps {
            let here = right.add(step * V * per_vector);
            let mut factors = [K::load(here); V];
            for (v, factors) in factors.iter_mut().enumerate().skip(1) {
                *factors = K::load(here.add(v * per_vector));
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let repeated = K::repeat(left.first.add(r * left.stride + step * K::DEPTH));
                for (sum, &factors) in sums.iter_mut().zip(&factors) {
                    *sum = K::accumulate(repeated, factors, *sum);
                }
            }
        }
        sums
    }
}

#[inline(always)]
unsafe fn finish<K: Kernel, E: Epilogue<K::Lanes>, const R: usize, const V: usize>(
    row: usize,
    column: usize,
    sums: Sums<K, R, V>,
    epilogue: &E,
) {
    for (r, sums) in sums.into_iter().enumerate() {
        unsafe { epilogue.finish(row + r, column, sums) };
    }
}
