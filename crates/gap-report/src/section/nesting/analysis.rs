//! Checks whether larger families ended at a higher ELBO than the smaller families that they contain.

use crate::columns::FREE_FORM_ELBO_QUANTITY;
use crate::paired_column::{PairedColumn, mean_and_std_error};
use crate::pairing::PairedCell;
use gap_schema::record::Record;
use gap_schema::summary::{Mean, NESTING_TOLERANCE_NATS, NestedFamilyComparison};
use gap_spec::{Family, StopKind};
use std::collections::{HashMap, HashSet};

/// Compares each pair of cells with nested families that share data, model, seed and split. Cells that differ
/// only in their encoder count as one.
pub(super) fn compare_nested_families(cells: &[PairedCell<'_>]) -> Vec<NestedFamilyComparison> {
    let mut seen = HashSet::new();
    let distinct: Vec<&PairedCell<'_>> = cells
        .iter()
        .filter(|cell| seen.insert((cell.variant, cell.family, comparison_key(cell))))
        .collect();
    let mut all = Vec::new();
    for larger in &distinct {
        for smaller in &distinct {
            if comparison_key(larger) == comparison_key(smaller)
                && larger.family.contains(smaller.family)
            {
                all.extend(compare_nested_pair(smaller, larger));
            }
        }
    }
    all
}

/// Cells with the same key can be compared.
fn comparison_key<'a>(cell: &PairedCell<'a>) -> impl Eq + std::hash::Hash + use<'a> {
    (cell.dataset, cell.model, cell.seed, cell.split)
}

/// Returns the records of a cell's finite free-form ELBOs by datapoint.
fn free_form_elbos_by_datapoint<'a>(cell: &PairedCell<'a>) -> HashMap<u64, &'a Record> {
    let rows = cell.points.iter();
    rows.filter_map(|point| point.get(&FREE_FORM_ELBO_QUANTITY).copied())
        .filter(|row| row.value_nats.is_finite() && row.stop != StopKind::NonFinite)
        .map(|row| (row.datapoint, row))
        .collect()
}

fn compare_nested_pair(
    smaller: &PairedCell<'_>,
    larger: &PairedCell<'_>,
) -> Option<NestedFamilyComparison> {
    let (smaller_elbos, larger_elbos) = (
        free_form_elbos_by_datapoint(smaller),
        free_form_elbos_by_datapoint(larger),
    );
    let mut pairs: Vec<(&Record, &Record)> = larger_elbos
        .iter()
        .filter_map(|(datapoint, larger)| Some((*smaller_elbos.get(datapoint)?, *larger)))
        .collect();
    pairs.sort_by_key(|(row, _)| row.datapoint);
    if pairs.is_empty() {
        return None;
    }
    let column = |pick: fn(&(&Record, &Record)) -> Record| {
        let rows: Vec<Record> = pairs.iter().map(pick).collect();
        PairedColumn::from_records(rows.iter())
    };
    let gain = column(|pair| pair.1.clone()).minus(&column(|pair| pair.0.clone()));
    let differences = pairs.iter().map(|(smaller, larger)| {
        let std_error = smaller.std_error_nats.hypot(larger.std_error_nats);
        (larger.value_nats - smaller.value_nats, std_error)
    });
    let is_violation =
        |(nats, std_error): &(f64, f64)| *nats < -NESTING_TOLERANCE_NATS - 2.0 * std_error;
    let lowest = differences.clone().map(|(nats, _)| nats);
    Some(NestedFamilyComparison {
        dataset: larger.dataset.to_owned(),
        split: larger.split,
        seed: larger.seed,
        model: larger.model.to_owned(),
        smaller: smaller.family,
        smaller_variant: smaller.variant.map(str::to_owned),
        larger: larger.family,
        larger_variant: larger.variant.map(str::to_owned),
        n: pairs.len() as u64,
        gain: gain.mean(),
        violations: differences.filter(is_violation).count() as u64,
        lowest_nats: lowest.fold(f64::INFINITY, f64::min),
    })
}

/// The comparisons of the same two variants on the same split, one for each seed.
pub(crate) struct NestingGroup<'a> {
    pub(crate) seeds: Vec<&'a NestedFamilyComparison>,
}

impl<'a> NestingGroup<'a> {
    /// Returns the groups, sorted by the larger family and then by the smaller one.
    pub(crate) fn group_comparisons(nestings: &'a [NestedFamilyComparison]) -> Vec<Self> {
        let key = |n: &&'a NestedFamilyComparison| {
            let variants = (n.smaller_variant.as_deref(), n.larger_variant.as_deref());
            (n.larger, n.smaller, variants, n.dataset.as_str(), n.split)
        };
        let mut sorted: Vec<&NestedFamilyComparison> = nestings.iter().collect();
        sorted.sort_by(|a, b| key(a).cmp(&key(b)).then(a.seed.cmp(&b.seed)));
        let groups = sorted.chunk_by(|a, b| key(a) == key(b));
        groups
            .map(|group| Self {
                seeds: group.to_vec(),
            })
            .collect()
    }

    /// Returns the names of the larger and the smaller family. A variant that is not named after its family is
    /// added in parentheses.
    pub(crate) fn names(&self) -> (String, String) {
        let name = |family: Family, variant: &Option<String>| match variant.as_deref() {
            Some(variant) if variant != family.as_str() => format!("{family} ({variant})"),
            _ => family.to_string(),
        };
        let first = self.seeds[0];
        (
            name(first.larger, &first.larger_variant),
            name(first.smaller, &first.smaller_variant),
        )
    }

    /// Returns the mean gain over seeds and its standard error, which comes from the spread of the seeds'
    /// means, or over datapoints if there is one seed.
    pub(crate) fn gain(&self) -> (f64, f64) {
        let means: Vec<Mean> = self.seeds.iter().map(|n| n.gain).collect();
        match means.as_slice() {
            [only] => (only.mean_nats, only.std_error_nats),
            several => {
                let means: Vec<f64> = several.iter().map(|mean| mean.mean_nats).collect();
                mean_and_std_error(&means)
            }
        }
    }

    /// Counts the cells where the larger family ended more than [`NESTING_TOLERANCE_NATS`] below the smaller
    /// one on average.
    pub(crate) fn cells_below(&self) -> usize {
        let below = |n: &&&NestedFamilyComparison| n.gain.mean_nats < -NESTING_TOLERANCE_NATS;
        self.seeds.iter().filter(below).count()
    }
}
