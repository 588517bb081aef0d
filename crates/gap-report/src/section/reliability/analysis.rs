//! Which estimates have a standard error that cannot be relied on, and why.

use crate::columns::CellColumns;
use crate::paired_column::mean;
use gap_schema::record::Record;
use gap_spec::Trust;
use std::collections::BTreeMap;

/// Returns the mean acceptance rate of the rows that have one.
pub(crate) fn mean_acceptance<'a>(rows: impl Iterator<Item = &'a Record>) -> Option<f64> {
    mean(rows.filter_map(|r| r.diagnostics.acceptance))
}

/// Counts the rows whose standard error is marked as unreliable, by the reason.
pub(crate) fn untrusted_by_reason<'a>(
    rows: impl Iterator<Item = &'a Record>,
) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for trust in rows
        .map(|row| row.trust)
        .filter(|&trust| trust != Trust::Ok)
    {
        *counts.entry(trust.to_string()).or_default() += 1;
    }
    counts
}

/// Counts the datapoints with an estimate, of a quantity without a name, whose importance weights are marked as
/// heavy-tailed.
pub(crate) fn count_heavy_tails(columns: &CellColumns<'_>) -> u64 {
    let points = columns.cell.points.iter();
    points
        .filter(|point| {
            let mut unnamed = point.iter().filter(|(quantity, _)| quantity.name.is_none());
            unnamed.any(|(_, row)| row.trust == Trust::HeavyTail)
        })
        .count() as u64
}
