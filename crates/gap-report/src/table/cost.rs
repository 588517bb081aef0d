//! Costs as text.

use super::number::{grouped, seconds, text_or_absent};
use crate::across_seeds::SeedGroup;
use gap_schema::summary::{Cell, Cost};

/// Returns the wall seconds for all datapoints, as a mean over seeds.
pub(crate) fn mean_seconds(group: &SeedGroup<'_>, cost: impl Fn(&Cell) -> Option<Cost>) -> String {
    text_or_absent(group.average(|c| Some(cost(c)?.seconds)), seconds)
}

/// Returns the joint gradients, as a mean over seeds.
pub(crate) fn mean_gradients(
    group: &SeedGroup<'_>,
    cost: impl Fn(&Cell) -> Option<Cost>,
) -> String {
    let mean = group.average(|c| Some(cost(c)?.joint_gradients));
    text_or_absent(mean, |mean| grouped(mean.round() as u64))
}
