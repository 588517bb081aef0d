//! The table of what larger families gain over the smaller families that they contain.

use super::analysis::NestingGroup;
use crate::across_seeds::error_bar_meaning;
use crate::table::Table;
use crate::table::number::{grouped, plus_minus_text, significant, value_or_range_text};
use gap_schema::Summary;
use gap_schema::summary::NESTING_TOLERANCE_NATS;

/// Returns one row for each pair of nested families and split, as means over seeds; no rows if there are no
/// such families.
pub(super) fn nesting_table(summary: &Summary) -> Table {
    let headings = [
        "larger family",
        "contains",
        "split",
        "points",
        "seeds",
        "gain in L[q*]",
        "lowest seed",
        "points below",
        "lowest point",
    ];
    let mut table = Table::new(3, &headings);
    let groups = NestingGroup::group_comparisons(&summary.nesting);
    let lowest = |values: &mut dyn Iterator<Item = f64>| {
        significant(values.fold(f64::INFINITY, f64::min), 2)
    };
    for group in &groups {
        let (all, first) = (&group.seeds, group.seeds[0]);
        let (mean, std_error) = group.gain();
        let (larger, smaller) = group.names();
        table.rows.push(vec![
            larger,
            smaller,
            first.split.to_string(),
            value_or_range_text(all.iter().map(|nesting| nesting.n)),
            all.len().to_string(),
            plus_minus_text(mean, std_error),
            lowest(&mut all.iter().map(|nesting| nesting.gain.mean_nats)),
            grouped(all.iter().map(|nesting| nesting.violations).sum()),
            lowest(&mut all.iter().map(|nesting| nesting.lowest_nats)),
        ]);
    }
    if !groups.is_empty() {
        let n_seeds: Vec<usize> = groups.iter().map(|group| group.seeds.len()).collect();
        table.notes = vec![
            format!(
                "Families that contain each other, on the same model and points: nats per datapoint; ± is {}",
                error_bar_meaning(&n_seeds)
            ),
            format!(
                "points below: where the larger family ended more than {NESTING_TOLERANCE_NATS} nats and two standard \
                 errors below the smaller one, which only a failed search can do. The lowest point has its \
                 Monte Carlo error in it."
            ),
        ];
    }
    table
}
