//! Lookup tables with the sums of subsets of weight rows, for `binary_rows`.

use crate::lanes::Lanes;
use crate::product::StridedRows;

/// The number of inputs in a group. A group has one table, with an entry for each subset of its inputs; bit `i`
/// of an entry's index says whether the subset contains input `i`.
pub(crate) const INPUTS_PER_TABLE: usize = 5;
pub(crate) const ENTRIES_PER_TABLE: usize = 1 << INPUTS_PER_TABLE;
/// The number of entries for subsets of a group's first three inputs, which come first in the table. Of all
/// entries, every eighth is for a subset of the last two inputs alone.
pub(crate) const ENTRIES_OF_FIRST_THREE_INPUTS: usize = 8;
/// The number of groups whose entry indices are read in one load.
pub(crate) const TABLES_PER_LOAD: usize = 4;

/// Writes the sum of every subset of `n_inputs` weight rows, which are `stride` apart, to `table`,
/// `[V, ENTRIES_PER_TABLE, LANES]`. Unless `WHOLE`, it writes only the subsets of the first three inputs and
/// the subsets of the last two.
#[inline(always)]
pub(crate) unsafe fn make_table<L: Lanes, const V: usize, const WHOLE: bool>(
    table: *mut f32,
    weights: *const f32,
    stride: usize,
    n_inputs: usize,
) {
    for v in 0..V {
        unsafe {
            let at = |entry: usize| table.add((v * ENTRIES_PER_TABLE + entry) * L::LANES);
            L::store(at(0), L::splat(0.0));
            for input in 0..n_inputs {
                let weight = L::load(weights.add(input * stride + v * L::LANES));
                let (first, step) = (
                    1 << input,
                    if input < 3 {
                        1
                    } else {
                        ENTRIES_OF_FIRST_THREE_INPUTS
                    },
                );
                for entry in (0..first).step_by(step) {
                    L::store(at(first + entry), L::add(L::load(at(entry)), weight));
                }
            }
            if WHOLE {
                for high in (ENTRIES_OF_FIRST_THREE_INPUTS..1 << n_inputs)
                    .step_by(ENTRIES_OF_FIRST_THREE_INPUTS)
                {
                    let sum = L::load(at(high));
                    for low in 1..ENTRIES_OF_FIRST_THREE_INPUTS {
                        L::store(at(high + low), L::add(L::load(at(low)), sum));
                    }
                }
            }
        }
    }
}

/// For each of `R` rows, adds the row's entry of every table to its sums. Nearly all the time is spent in this
/// loop.
#[inline(always)]
pub(crate) unsafe fn add_entries<L: Lanes, const V: usize, const R: usize, const WHOLE: bool>(
    sums: &mut [[L::Vector; V]; R],
    tables: *const f32,
    entries: StridedRows<u8>,
    n_groups: usize,
) {
    let size = size_of::<L::Vector>() / 8;
    let len = V * ENTRIES_PER_TABLE * L::LANES;
    for group in (0..n_groups).step_by(TABLES_PER_LOAD) {
        for (r, sums) in sums.iter_mut().enumerate() {
            unsafe {
                // One load fetches the entry indices of several groups, because loads are the bottleneck.
                let word = entries.first.add(r * entries.stride + group).cast::<u32>();
                let word = u32::from_le(word.read_unaligned());
                for g in 0..TABLES_PER_LOAD {
                    let table = tables.add((group + g) * len);
                    let entry = (word >> (8 * g)) as usize % 256;
                    if WHOLE {
                        add::<L, V>(
                            sums,
                            table.byte_add(entry * size),
                            ENTRIES_PER_TABLE * L::LANES,
                        );
                        continue;
                    }
                    let low = table.byte_add(entry % (8 * ENTRIES_OF_FIRST_THREE_INPUTS) * size);
                    let high = table.byte_add(
                        entry / (8 * ENTRIES_OF_FIRST_THREE_INPUTS)
                            * (8 * ENTRIES_OF_FIRST_THREE_INPUTS)
                            * size,
                    );
                    for (v, sum) in sums.iter_mut().enumerate() {
                        let v = v * ENTRIES_PER_TABLE * L::LANES;
                        *sum = L::add(*sum, L::add(L::load(low.add(v)), L::load(high.add(v))));
                    }
                }
            }
        }
    }
}

/// Adds to `sums` the weight rows whose bits are set in `chosen`; the rows are `stride` apart.
#[inline(always)]
pub(crate) unsafe fn add_chosen<L: Lanes, const V: usize>(
    sums: &mut [L::Vector; V],
    chosen: usize,
    weights: *const f32,
    stride: usize,
) {
    let mut left = chosen;
    while left != 0 {
        let input = left.trailing_zeros() as usize;
        unsafe { add::<L, V>(sums, weights.add(input * stride), L::LANES) };
        left &= left - 1;
    }
}

/// Adds `V` registers, which are `stride` apart, to the sums.
#[inline(always)]
unsafe fn add<L: Lanes, const V: usize>(
    sums: &mut [L::Vector; V],
    from: *const f32,
    stride: usize,
) {
    for (v, sum) in sums.iter_mut().enumerate() {
        unsafe { *sum = L::add(*sum, L::load(from.add(v * stride))) };
    }
}

/// Loads sums that [`store_sums`] has stored.
#[inline(always)]
pub(crate) unsafe fn load_sums<L: Lanes, const V: usize, const R: usize>(
    from: *const f32,
) -> [[L::Vector; V]; R] {
    let mut sums = unsafe { [[L::splat(0.0); V]; R] };
    for (r, sums) in sums.iter_mut().enumerate() {
        for (v, sum) in sums.iter_mut().enumerate() {
            unsafe { *sum = L::load(from.add((r * V + v) * L::LANES)) };
        }
    }
    sums
}

/// Stores sums that are not finished yet.
#[inline(always)]
pub(crate) unsafe fn store_sums<L: Lanes, const V: usize, const R: usize>(
    to: *mut f32,
    sums: [[L::Vector; V]; R],
) {
    for (r, sums) in sums.into_iter().enumerate() {
        for (v, sum) in sums.into_iter().enumerate() {
            unsafe { L::store(to.add((r * V + v) * L::LANES), sum) };
        }
    }
}
