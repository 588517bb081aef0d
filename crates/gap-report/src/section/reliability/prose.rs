//! Texts on how reliable the results are: whether free-form searches failed, and how the table counts
//! datapoints.

use crate::section::interface::Block;
use gap_schema::Summary;
use gap_schema::summary::MIN_DIFFERENT_OPTIMA_NATS;

/// Returns a sentence on how many cells have a mean amortization gap so negative that the search for `q*` must
/// have failed: below −(2 standard errors + the largest estimated distance of a `q*` to its optimum). `None` if
/// there are no gaps.
pub(super) fn free_form_failure_sentence(summary: &Summary) -> Option<String> {
    let with_gap = summary.cells.iter().filter_map(|cell| {
        let gap = cell.amortization_gap?;
        let own_distance = cell.max_remaining_nats.unwrap_or(0.0).max(0.0);
        let std_error = gap.std_error_nats.max(gap.mc_std_error_nats);
        Some(gap.mean_nats < -2.0 * std_error - own_distance)
    });
    let is_below: Vec<bool> = with_gap.collect();
    let (n, below) = (
        is_below.len(),
        is_below.iter().filter(|below| **below).count(),
    );
    let error = "two standard errors and the distance that q* is estimated to be from its optimum";
    match (n, below) {
        (0, _) => None,
        (_, 0) => Some(format!(
            "Free-form inference ended below no encoder by more than its error ({error}), in any of {n} cells."
        )),
        _ => Some(format!(
            "In {below} of {n} cells free-form inference ended below the encoder by more than its error \
             ({error}): its search failed there, and the gap is too small."
        )),
    }
}

/// Returns the explanation of which datapoints are counted, and of which means leave them out.
pub(super) fn reliability_explanation() -> Block {
    Block::paragraph(&format!(
        "Datapoints whose values are not finite are counted here and are in no mean. A datapoint has converged when the bound on its distance to the optimum is below the tolerance. Some posteriors have several optima: a datapoint is counted under \"different optima\" where its starts ended more than {MIN_DIFFERENT_OPTIMA_NATS} nats apart, and the better end is its <i>q*</i>. Unconverged points and those with different optima are in the means; the column of converged points leaves out the former, and \"one optimum\" both (– where the ascent had one start)."
    ))
}
