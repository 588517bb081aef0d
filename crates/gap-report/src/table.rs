//! What the tables of a report hold; how they look as text is in [`layout`].

mod ascents;
mod benches;
mod calibration;
mod costs;
mod evidence;
mod gaps;
pub(crate) mod layout;
mod nesting;
pub(crate) mod number;
mod reliability;

pub(crate) use ascents::ascents;
pub(crate) use benches::{benches, confidence};
pub(crate) use calibration::{calibration, setting_name};
pub(crate) use costs::{costs, parameters, refinement, stages};
pub(crate) use evidence::{estimate_name, evidence, has_evidence_beyond_draws, sandwich};
pub(crate) use gaps::{bounds, cells, headline};
pub(crate) use nesting::nesting;
pub(crate) use reliability::{oracle, reliability};

use crate::across_seeds::{SeedGroup, SeedMean};
use gap_schema::Summary;
use number::{grouped, option, plus_minus};
use std::collections::BTreeMap;

/// A row of headings, rows of text, and notes below.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Table {
    pub(crate) headings: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    /// How many columns at the start are names, set flush left.
    pub(crate) n_names: usize,
    /// What a reader must know to read the numbers.
    pub(crate) notes: Vec<String>,
}

impl Table {
    fn new(n_names: usize, headings: &[&str]) -> Self {
        Self {
            headings: headings.iter().map(|&heading| heading.to_owned()).collect(),
            rows: Vec::new(),
            n_names,
            notes: Vec::new(),
        }
    }

    /// The rows of each group, its names before them.
    fn of_groups(
        groups: &[SeedGroup<'_>],
        headings: &[&str],
        rows: impl Fn(&SeedGroup<'_>) -> Vec<Vec<String>>,
    ) -> Self {
        let mut table = Self::new(3, &[&["variant", "encoder", "split"], headings].concat());
        for group in groups {
            let names = [
                option(group.variant(), str::to_owned),
                encoder_name(group),
                group.split().to_string(),
            ];
            let rows = rows(group).into_iter();
            table
                .rows
                .extend(rows.map(|row| [&names[..], &row].concat()));
        }
        if groups.iter().all(|group| group.variant().is_none()) {
            table.without("variant")
        } else {
            table
        }
    }

    /// The table without the column of this heading.
    pub(crate) fn without(mut self, heading: &str) -> Self {
        if let Some(column) = self.headings.iter().position(|h| h == heading) {
            self.headings.remove(column);
            for row in &mut self.rows {
                row.remove(column);
            }
            self.n_names -= usize::from(column < self.n_names);
        }
        self
    }
}

/// The tables of the main results, those that have something to say, and at least one: the gaps, the
/// estimates of the evidence where some are nearer than those of plain draws, nested families, the
/// sandwiches, the ascents and the calibrations.
pub(crate) fn main_results(summary: &Summary) -> Vec<Table> {
    let evidence = has_evidence_beyond_draws(summary).then(|| evidence(summary));
    let others = [
        nesting(summary),
        sandwich(summary),
        ascents(summary),
        calibration(summary),
    ];
    let others = others.into_iter().filter(|table| !table.rows.is_empty());
    let others: Vec<Table> = evidence.into_iter().chain(others).collect();
    let gaps = (others.is_empty() || !summary.cells.is_empty()).then(|| headline(summary));
    gaps.into_iter().chain(others).collect()
}

/// The main results as aligned plain text, means over seeds: one row for each encoder and split, and
/// further tables for what else the experiment measured.
pub fn text_table(summary: &Summary) -> String {
    let tables = main_results(summary).into_iter();
    // The longest column, which readers of a terminal find in the spec.
    let texts = tables.map(|table| layout::plain_text(&table.without("phases")));
    texts.collect::<Vec<_>>().join("\n")
}

pub(crate) fn encoder_name(group: &SeedGroup<'_>) -> String {
    group
        .encoder()
        .map_or_else(|| "(none)".to_owned(), |encoder| encoder.short())
}

fn mean_text(mean: Option<SeedMean>) -> String {
    option(mean, |m| plus_minus(m.mean_nats, m.std_error_nats))
}

fn same_or_range(values: impl Iterator<Item = u64> + Clone) -> String {
    let (low, high) = (values.clone().min(), values.max());
    match (low, high) {
        (Some(low), Some(high)) if low < high => format!("{}–{}", grouped(low), grouped(high)),
        (low, _) => grouped(low.unwrap_or(0)),
    }
}

/// Counts by the reason that `trust` gives, the reason first: `heavy-tail 3, low-acceptance 1`.
fn reasons_text<'a>(counts: impl Iterator<Item = &'a BTreeMap<String, u64>>) -> String {
    let mut total: BTreeMap<&str, u64> = BTreeMap::new();
    for (reason, n) in counts.flatten() {
        *total.entry(reason).or_default() += n;
    }
    if total.is_empty() {
        return "0".to_owned();
    }
    let texts = total
        .iter()
        .map(|(reason, n)| format!("{reason} {}", grouped(*n)));
    texts.collect::<Vec<_>>().join(", ")
}
