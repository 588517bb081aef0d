//! What larger families gain, in sentences.

use super::analysis::NestingGroup;
use crate::across_seeds::{SeedGroup, reported_split};
use crate::table::number::plus_minus_text;
use gap_schema::Summary;
use gap_schema::summary::NESTING_TOLERANCE_NATS;

/// Returns sentences on what each larger family gains over a smaller one, and on whether any larger family
/// ended below a smaller one.
pub(super) fn nesting_sentences(summary: &Summary) -> Vec<String> {
    let split = reported_split(&SeedGroup::group_summary_cells(summary));
    let groups = NestingGroup::group_comparisons(&summary.nesting);
    let mut sentences: Vec<String> = groups
        .iter()
        .filter(|group| group.seeds[0].split == split)
        .map(|group| {
            let (mean, std_error) = group.gain();
            let size = if mean > 3.0 * std_error {
                "more than 3 standard errors above 0"
            } else if mean < -3.0 * std_error {
                "below 0 by more than 3 standard errors"
            } else {
                "within 3 standard errors of 0"
            };
            let (larger, smaller) = group.names();
            format!(
                "The best {larger} is {} nats above the best {smaller} on {split} points, {size}.",
                plus_minus_text(mean, std_error)
            )
        })
        .collect();
    if !groups.is_empty() {
        let n = summary.nesting.len();
        let below: usize = groups.iter().map(NestingGroup::cells_below).sum();
        sentences.push(if below == 0 {
            format!(
                "The nesting law holds in all {n} cells: no family ended more than {NESTING_TOLERANCE_NATS} nats below one \
                 that it contains."
            )
        } else {
            format!(
                "The nesting law is broken in {below} of {n} cells: there a family ended more than {NESTING_TOLERANCE_NATS} \
                 nats below one that it contains, so its search failed."
            )
        });
    }
    sentences
}
