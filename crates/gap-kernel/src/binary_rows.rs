//! The first layer's product for binary rows, which looks sums up instead of multiplying.
//!
//! A binarised image is a row of zeros and ones. Its product with a weight is the sum of the weight rows whose
//! input is one. Inputs are divided into groups of [`INPUTS_PER_TABLE`], and a group contributes one of only
//! `2^INPUTS_PER_TABLE` partial sums, whatever the row. A table of these takes one addition per entry. Every
//! row then needs one load and one addition per group, where the product takes `INPUTS_PER_TABLE`
//! multiplications (the method of the four Russians: Arlazarov, Dinic, Kronrod and Faradzhev 1970).
//!
//! - [`BinaryRows::take`] checks whether a row is binary, and stores which entry of each group's table it
//!   needs.
//! - `through_tables` computes a few columns for all rows at once: it makes the tables of as many groups as
//!   the L1 cache holds (see `subset_sums`), adds each row's entries to its sums, and goes on with the next
//!   groups.
//! - `one_by_one` adds up the weights themselves. It is for batches of few rows, where tables do not pay off.
//!
//! # Batch invariance
//!
//! All methods add in the same order. Within a group, they sum the first three inputs, then the last two, and
//! then add these two sums; the groups are added one after another. Every sum starts at zero and takes its
//! inputs in order. All methods therefore give the same bits, and a row's result does not depend on the number
//! of rows in its batch. (A group of zeros may be left out: a sum that starts at zero is never `−0`, so adding
//! zero to it changes nothing.) Whether a row is binary depends on that row alone; `−0` counts as zero.
//!
//! Weights must be finite: in a product, an input of zero times an infinite weight is NaN, while a sum leaves
//! that weight out. [`is_binary_detection_worthwhile`] is false for other weights.

use crate::lanes::{Lanes, ProductKernel};
use crate::network::Layer;
use crate::packed::{AlignedBuffer, ColumnPanel, PackedWeight};
use crate::product::{Epilogue, StridedRows};
use crate::subset_sums::{
    ENTRIES_OF_FIRST_THREE_INPUTS, ENTRIES_PER_TABLE, INPUTS_PER_TABLE, TABLES_PER_LOAD,
    add_chosen, add_entries, load_sums, make_table, store_sums,
};

/// The most rows that are summed side by side: each addition to one row's sum has to wait for the one before
/// it. The number of rows is padded to a multiple of this.
const ROWS_SUMMED_SIDE_BY_SIDE: usize = 8;
/// The most bytes of tables that are in use together, so that they fit an L1 cache.
const MAX_LOOKUP_TABLE_BYTES: usize = 32 << 10;
/// The fewest rows for which tables are faster than adding weights.
const MIN_ROWS_FOR_TABLES: usize = 12;
/// The fewest rows for which complete tables are faster than partial ones.
const MIN_ROWS_FOR_WHOLE_TABLES: usize = 48;
/// With fewer inputs or outputs, checking rows takes as much time as it saves.
const MIN_INPUTS_FOR_DETECTION: usize = 64;
const MIN_OUTPUTS_FOR_DETECTION: usize = 32;

/// Whether it pays off to check if rows are binary before this first layer. False if a weight is not finite.
pub(crate) fn is_binary_detection_worthwhile(layer: &Layer<'_>) -> bool {
    let wide = layer.n_inputs() >= MIN_INPUTS_FOR_DETECTION
        && layer.n_outputs() >= MIN_OUTPUTS_FOR_DETECTION;
    wide && layer.weight.iter().all(|weight| weight.is_finite())
}

/// Binary rows, stored as the table entries that they need.
pub(crate) struct BinaryRows<L: Lanes> {
    n_inputs: usize,
    n_groups: usize,
    /// The index of each row's entry in each group's table, times eight: `[rows, groups]`, with padding
    /// groups.
    entries: Vec<u8>,
    /// The distance between rows of `entries`.
    stride: usize,
    /// The row of the output that each row's product is written to.
    places: Vec<usize>,
    /// The current row, one bit for each input.
    bits: Vec<u8>,
    /// The number of rows that there is room for, in whole blocks.
    most_rows: usize,
    memory: Option<LookupTableMemory>,
    lanes: std::marker::PhantomData<L>,
}

/// Memory for lookup tables and for sums.
struct LookupTableMemory {
    /// The tables of the current groups.
    tables: AlignedBuffer<f32>,
    /// Each row's sums over the groups so far, for the columns that are computed together: `[rows, columns]`.
    sums: AlignedBuffer<f32>,
}

impl<L: Lanes> BinaryRows<L> {
    /// An empty collection with room for `most_rows` rows.
    pub(crate) fn new(n_inputs: usize, most_rows: usize) -> Self {
        let n_groups = n_inputs
            .div_ceil(INPUTS_PER_TABLE)
            .next_multiple_of(TABLES_PER_LOAD);
        let stride = n_groups.next_multiple_of(8);
        Self {
            n_inputs,
            n_groups,
            entries: Vec::new(),
            stride,
            places: Vec::new(),
            // There is room to write a whole register's bits, and to read a `u64` from any group on.
            bits: vec![0; stride / 8 * INPUTS_PER_TABLE + 8],
            most_rows: most_rows.next_multiple_of(ROWS_SUMMED_SIDE_BY_SIDE),
            memory: None,
            lanes: std::marker::PhantomData,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.places.clear();
    }

    /// Adds `row` if it is binary, and returns whether it did. Its product with the weight will be
    /// written to row `place` of the output.
    ///
    /// # Safety
    ///
    /// As for [`Lanes`]; there must be room for one more row, and `row` must have `n_inputs` values.
    #[inline(always)]
    pub(crate) unsafe fn take(&mut self, row: &[f32], place: usize) -> bool {
        if !unsafe { self.read_bits(row) } {
            return false;
        }
        if self.entries.is_empty() {
            self.entries = vec![0; self.most_rows * self.stride];
        }
        let entries = &mut self.entries[self.places.len() * self.stride..][..self.stride];
        for (eight, entries) in entries.chunks_exact_mut(8).enumerate() {
            // SAFETY: `bits` is eight bytes longer than its groups.
            let bits = unsafe {
                self.bits
                    .as_ptr()
                    .add(eight * INPUTS_PER_TABLE)
                    .cast::<u64>()
            };
            let bytes = spread_groups_to_bytes(u64::from_le(unsafe { bits.read_unaligned() }));
            entries.copy_from_slice(&(bytes << 3).to_le_bytes());
        }
        self.places.push(place);
        true
    }

    /// Whether all values of `row` are 0 or 1; if so, their bits are written to `self.bits`.
    #[inline(always)]
    unsafe fn read_bits(&mut self, row: &[f32]) -> bool {
        let whole = row.len() / L::LANES * L::LANES;
        let mut mask = 0;
        for (i, &value) in row[whole..].iter().enumerate() {
            if value != 0.0 && value != 1.0 {
                return false;
            }
            mask |= u32::from(value == 1.0) << i;
        }
        // SAFETY: registers are loaded from within the row, and `bits` is eight bytes longer than the row's
        // bits.
        unsafe {
            let bits = self.bits.as_mut_ptr();
            let (zero, one) = (L::splat(0.0), L::splat(1.0));
            for i in (0..whole).step_by(L::LANES) {
                let values = L::load(row.as_ptr().add(i));
                let ones = L::equal(values, one);
                if ones | L::equal(values, zero) != u32::MAX >> (32 - L::LANES) {
                    return false;
                }
                bits.add(i / 8).cast::<u32>().write_unaligned(ones);
            }
            bits.add(whole / 8).cast::<u32>().write_unaligned(mask);
        }
        true
    }

    /// Multiplies the rows by `weight` and passes each row's sums to `epilogue` under the row's place in the
    /// output; the sums of padding rows go to row `scrap`.
    ///
    /// # Safety
    ///
    /// As for [`ProductKernel`] and [`Epilogue`]; the epilogue must have rows for all places and `scrap`,
    /// and the weight must be as deep as the rows are long.
    #[inline(always)]
    pub(crate) unsafe fn product<K, E>(
        &mut self,
        weight: &PackedWeight<K>,
        scrap: usize,
        epilogue: &E,
    ) where
        K: ProductKernel<Lanes = L, Factor = f32>,
        E: Epilogue<L>,
    {
        if self.places.len() < MIN_ROWS_FOR_TABLES {
            unsafe { self.one_by_one(weight, epilogue) };
            return;
        }
        self.memory.get_or_insert_with(|| LookupTableMemory {
            tables: AlignedBuffer::zeros(MAX_LOOKUP_TABLE_BYTES / 4),
            sums: AlignedBuffer::zeros(
                self.most_rows * if K::MAX_PANEL_VECTORS == 3 { 1 } else { 2 } * L::LANES,
            ),
        });
        let whole = self.places.len() >= MIN_ROWS_FOR_WHOLE_TABLES;
        // The padding rows of the last block hold entries of earlier rows, so their results go to `scrap`.
        self.places.resize(
            self.places.len().next_multiple_of(ROWS_SUMMED_SIDE_BY_SIDE),
            scrap,
        );
        unsafe {
            if whole {
                self.through_panels::<K, E, true>(weight, epilogue);
            } else {
                self.through_panels::<K, E, false>(weight, epilogue);
            }
        }
    }

    #[inline(always)]
    unsafe fn through_panels<K, E, const WHOLE: bool>(
        &mut self,
        weight: &PackedWeight<K>,
        epilogue: &E,
    ) where
        K: ProductKernel<Lanes = L, Factor = f32>,
        E: Epilogue<L>,
    {
        for panel in &weight.panels {
            unsafe {
                if K::MAX_PANEL_VECTORS == 3 {
                    for v in 0..panel.n_vectors {
                        self.through_tables::<K, E, 1, 8, WHOLE>(weight, *panel, v, epilogue);
                    }
                } else if panel.n_vectors == 2 {
                    self.through_tables::<K, E, 2, 4, WHOLE>(weight, *panel, 0, epilogue);
                } else {
                    self.through_tables::<K, E, 1, 4, WHOLE>(weight, *panel, 0, epilogue);
                }
            }
        }
    }

    /// Computes `V` registers of columns, from register `vector` of `panel` on, with `R` rows at a time.
    #[inline(always)]
    unsafe fn through_tables<K, E, const V: usize, const R: usize, const WHOLE: bool>(
        &mut self,
        weight: &PackedWeight<K>,
        panel: ColumnPanel,
        vector: usize,
        epilogue: &E,
    ) where
        K: ProductKernel<Lanes = L, Factor = f32>,
        E: Epilogue<L>,
    {
        let memory = self.memory.as_mut().expect("`product` made it");
        let table_len = V * ENTRIES_PER_TABLE * L::LANES;
        let stride = panel.n_vectors * L::LANES;
        let column = panel.column + vector * L::LANES;
        let most_groups = MAX_LOOKUP_TABLE_BYTES / (4 * table_len);
        unsafe {
            let first = weight.factors.as_slice().as_ptr();
            let first = first.add(panel.start + vector * L::LANES);
            let tables = memory.tables.as_mut_slice().as_mut_ptr();
            let sums_so_far = memory.sums.as_mut_slice().as_mut_ptr();
            for group in (0..self.n_groups).step_by(most_groups) {
                let n_groups = most_groups.min(self.n_groups - group);
                for g in 0..n_groups {
                    let input = (group + g) * INPUTS_PER_TABLE;
                    let n_inputs = INPUTS_PER_TABLE.min(self.n_inputs.saturating_sub(input));
                    let weights = first.wrapping_add(input * stride);
                    make_table::<L, V, WHOLE>(tables.add(g * table_len), weights, stride, n_inputs);
                }
                for row in (0..self.places.len()).step_by(R) {
                    let entries = StridedRows {
                        first: self.entries.as_ptr().add(row * self.stride + group),
                        stride: self.stride,
                    };
                    let so_far = sums_so_far.add(row * V * L::LANES);
                    let mut sums = [[L::splat(0.0); V]; R];
                    if group > 0 {
                        sums = load_sums::<L, V, R>(so_far);
                    }
                    add_entries::<L, V, R, WHOLE>(&mut sums, tables, entries, n_groups);
                    if group + n_groups < self.n_groups {
                        store_sums::<L, V, R>(so_far, sums);
                        continue;
                    }
                    for (r, sums) in sums.into_iter().enumerate() {
                        epilogue.finish(self.places[row + r], column, sums);
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn one_by_one<K, E>(&self, weight: &PackedWeight<K>, epilogue: &E)
    where
        K: ProductKernel<Lanes = L, Factor = f32>,
        E: Epilogue<L>,
    {
        for (row, &place) in self.places.iter().enumerate() {
            for panel in &weight.panels {
                unsafe {
                    match panel.n_vectors {
                        3 if K::MAX_PANEL_VECTORS == 3 => {
                            self.one::<K, E, 3>(row, place, weight, *panel, epilogue);
                        }
                        2 => self.one::<K, E, 2>(row, place, weight, *panel, epilogue),
                        _ => self.one::<K, E, 1>(row, place, weight, *panel, epilogue),
                    }
                }
            }
        }
    }

    /// Computes one row's sums in `panel` by adding weights.
    #[inline(always)]
    unsafe fn one<K, E, const V: usize>(
        &self,
        row: usize,
        place: usize,
        weight: &PackedWeight<K>,
        panel: ColumnPanel,
        epilogue: &E,
    ) where
        K: ProductKernel<Lanes = L, Factor = f32>,
        E: Epilogue<L>,
    {
        let stride = V * L::LANES;
        unsafe {
            let first = weight.factors.as_slice().as_ptr().add(panel.start);
            let mut sums = [L::splat(0.0); V];
            for group in 0..self.n_groups {
                let entry = usize::from(*self.entries.get_unchecked(row * self.stride + group)) / 8;
                if entry == 0 {
                    continue;
                }
                let weights = first.add(group * INPUTS_PER_TABLE * stride);
                let mut low = [L::splat(0.0); V];
                add_chosen::<L, V>(
                    &mut low,
                    entry % ENTRIES_OF_FIRST_THREE_INPUTS,
                    weights,
                    stride,
                );
                if entry >= ENTRIES_OF_FIRST_THREE_INPUTS {
                    let mut high = [L::splat(0.0); V];
                    let weights = weights.add(3 * stride);
                    add_chosen::<L, V>(
                        &mut high,
                        entry / ENTRIES_OF_FIRST_THREE_INPUTS,
                        weights,
                        stride,
                    );
                    for (low, high) in low.iter_mut().zip(high) {
                        *low = L::add(*low, high);
                    }
                }
                for (sum, group_sum) in sums.iter_mut().zip(low) {
                    *sum = L::add(*sum, group_sum);
                }
            }
            epilogue.finish(place, panel.column, sums);
        }
    }
}

/// Spreads eight groups of bits to one byte each.
fn spread_groups_to_bytes(bits: u64) -> u64 {
    let fours = (bits & 0xf_ffff) | (bits & 0xf_ffff << 20) << 12;
    let twos = (fours & 0x3ff_0000_03ff) | (fours & 0x3ff_0000_03ff << 10) << 6;
    (twos & 0x1f_001f_001f_001f) | (twos & 0x1f_001f_001f_001f << 5) << 3
}
