//! Texts on how reliable the results are: whether gaps are negative beyond what is certified, and how the table
//! counts datapoints.

use crate::section::interface::Block;
use crate::table::number::significant;
use gap_schema::Summary;
use gap_schema::summary::{MIN_DIFFERENT_OPTIMA_NATS, OptimaCounts};

/// The mean gaps of a summary that are below zero by more than this many standard errors are told apart from
/// noise.
const NEGATIVE_STD_ERRORS: f64 = 3.0;

/// Returns a sentence on how many mean gaps are negative, of encoders and after refinement, and how many of
/// these are more negative than the distance of `q*` to its optimum explains: there the search for `q*` failed.
/// `None` if there are no gaps.
pub(super) fn negative_gaps_sentence(summary: &Summary) -> Option<String> {
    let (mut n, mut negative, mut unexplained, mut largest) = (0, 0, 0, 0.0_f64);
    for cell in &summary.cells {
        let distance = cell.mean_remaining_bound_nats.unwrap_or(0.0).max(0.0);
        let named = cell.refinements.iter().flat_map(|named| &named.points);
        let refined = cell.refinement.iter().chain(named).map(|point| point.gap);
        for gap in cell.amortization_gap.into_iter().chain(refined) {
            let std_error = gap.std_error_nats.max(gap.mc_std_error_nats);
            let highest = gap.mean_nats + NEGATIVE_STD_ERRORS * std_error;
            n += 1;
            if highest < 0.0 {
                negative += 1;
                largest = largest.max(distance);
            }
            if highest + distance < 0.0 {
                unexplained += 1;
            }
        }
    }
    let all = format!("of {n} mean gaps (amortization, and after each number of refinement steps)");
    let explained = negative - unexplained;
    let bound = significant(largest, 2);
    Some(match (n, negative, unexplained) {
        (0, ..) => return None,
        (_, 0, _) => {
            format!("None {all} is below zero by more than {NEGATIVE_STD_ERRORS} standard errors.")
        }
        (_, _, 0) => format!(
            "{negative} {all} are below zero by more than {NEGATIVE_STD_ERRORS} standard errors, all by less than \
             the certified distance of q* to its optimum (on average up to {bound} nats): refinement ended between \
             q* and the optimum."
        ),
        _ => format!(
            "{negative} {all} are below zero by more than {NEGATIVE_STD_ERRORS} standard errors: {explained} by less \
             than the certified distance of q* to its optimum (on average up to {bound} nats), {unexplained} by more. \
             There the free-form search failed, and the gap is too small."
        ),
    })
}

/// Returns a sentence on how many optima the starts led to, and how many starts would find them all; `None` if
/// no datapoint has several optima.
pub(super) fn optima_sentence(summary: &Summary) -> Option<String> {
    let counts = summary.cells.iter().filter_map(|cell| cell.optima);
    let counts: Vec<OptimaCounts> = counts.collect();
    let n = counts.len() as f64;
    let several = counts.iter().map(|c| c.several).sum::<f64>() / n;
    if counts.is_empty() || several == 0.0 {
        return None;
    }
    let mean_optima = counts.iter().map(|c| c.mean_optima).sum::<f64>() / n;
    let largest = |pick: fn(&OptimaCounts) -> f64| {
        significant(counts.iter().map(pick).fold(0.0, f64::max), 2)
    };
    let starts = counts.iter().map(|c| c.starts).max().unwrap_or(0);
    let needed = counts.iter().map(|c| c.starts_needed).max().unwrap_or(0);
    let verdict = if needed > starts {
        format!(
            "{needed} starts would be needed to find all of them on 95% of datapoints; raise \
             <code>free_form.random_starts</code>."
        )
    } else {
        format!("{needed} are enough to find all of them on 95% of datapoints.")
    };
    Some(format!(
        "{}% of datapoints have several optima: the {starts} starts led to {} on average, up to {} standard deviations \
         and {} nats apart. {verdict}",
        significant(100.0 * several, 2),
        significant(mean_optima, 3),
        largest(|c| c.max_apart_stds),
        largest(|c| c.max_apart_nats),
    ))
}

/// Returns the explanation of which datapoints are counted, and of which means leave them out.
pub(super) fn reliability_explanation() -> Block {
    Block::paragraph(&format!(
        "Datapoints whose values are not finite are counted here and are in no mean. A negative gap is \"unexplained\" where it is below zero by more than the bound on the distance of <i>q*</i> to its optimum and three Monte Carlo standard errors. A datapoint has converged when the bound on its distance to the optimum is below the tolerance. Some posteriors have several optima: a datapoint is counted under \"different optima\" where its starts ended more than {MIN_DIFFERENT_OPTIMA_NATS} nats apart, and the better end is its <i>q*</i>. Unconverged points and those with different optima are in the means; the column of converged points leaves out the former, and \"one optimum\" both (– where the ascent had one start)."
    ))
}
