//! Which estimates have a standard error that cannot be relied on, and why.

use crate::columns::CellColumns;
use crate::paired_column::mean;
use gap_schema::record::Record;
use std::collections::BTreeMap;

/// The mean acceptance of the rows that have one.
pub(crate) fn mean_acceptance<'a>(rows: impl Iterator<Item = &'a Record>) -> Option<f64> {
    mean(rows.filter_map(|r| r.diagnostics.acceptance))
}

/// What `trust` says of an estimate whose standard error can be relied on.
pub(crate) const TRUSTED: &str = "ok";
const HEAVY_TAIL: &str = "heavy-tail";

/// What `trust` says, without the number in its parenthesis.
pub(crate) fn trust_reason(row: &Record) -> &str {
    let end = row.trust.find('(').unwrap_or(row.trust.len());
    row.trust[..end].trim_end()
}

/// How many rows have a standard error that is marked as unreliable, by the reason.
pub(crate) fn untrusted_by_reason<'a>(
    rows: impl Iterator<Item = &'a Record>,
) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for reason in rows.map(trust_reason).filter(|reason| *reason != TRUSTED) {
        *counts.entry(reason.to_owned()).or_default() += 1;
    }
    counts
}

/// Datapoints with an estimate whose weights' tail is too heavy.
pub(crate) fn count_heavy_tails(columns: &CellColumns<'_>) -> u64 {
    let points = columns.cell.points.iter();
    points
        .filter(|point| point.values().any(|row| trust_reason(row) == HEAVY_TAIL))
        .count() as u64
}
