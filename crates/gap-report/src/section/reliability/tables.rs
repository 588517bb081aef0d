//! Tables of how far the numbers can be trusted, and of how they compare with closed forms.

use crate::across_seeds::SeedGroup;
use crate::table::number::{grouped, mean_text, reason_counts_text, significant, text_or_absent};
use crate::table::{Table, table_by_group};
use gap_schema::Summary;
use gap_schema::summary::{Cell, ClosedFormComparison, Mean};

/// Returns the table of how far the numbers can be trusted.
pub(super) fn reliability_table(summary: &Summary) -> Table {
    let headings = [
        "points × seeds",
        "gap, all points",
        "gap, converged points",
        "gap, one optimum",
        "Monte Carlo error",
        "negative gaps",
        "unexplained",
        "unconverged",
        "different optima",
        "non-finite",
        "untrusted estimates",
        "points with a heavy tail",
        "largest remaining (nats)",
        "largest bound on it",
        "generalisation gap",
    ];
    table_by_group(
        &SeedGroup::group_summary_cells(summary),
        &headings,
        |group| {
            let gap = group.mean(|c| c.amortization_gap);
            let largest = |pick: fn(&Cell) -> Option<f64>| {
                text_or_absent(group.largest(pick), |n| significant(n, 2))
            };
            vec![vec![
                grouped(group.total(|c| c.n)),
                mean_text(gap),
                mean_text(group.mean(|c| c.amortization_gap_converged)),
                mean_text(group.mean(|c| c.amortization_gap_same_optimum)),
                text_or_absent(gap, |gap| significant(gap.mc_std_error_nats, 2)),
                grouped(group.total(|c| c.negative_gaps)),
                grouped(group.total(|c| c.unexplained_negative_gaps)),
                grouped(group.total(|c| c.unconverged)),
                grouped(group.total(|c| c.different_optima)),
                grouped(group.total(|c| c.non_finite)),
                reason_counts_text(group.cells.iter().map(|c| &c.untrusted_by_reason)),
                grouped(group.total(|c| c.heavy_tails)),
                largest(|c| c.max_remaining_nats),
                largest(|c| c.max_remaining_bound_nats),
                mean_text(group.mean(|c| c.generalisation_gap)),
            ]]
        },
    )
}

/// Returns the comparison of estimates with closed forms; no rows if the model has none.
pub(super) fn closed_form_comparison_table(summary: &Summary) -> Table {
    let headings = [
        "exact log p(x)",
        "log p̂ − log p",
        "optimum − L[q*]",
        "sampled − exact L[q*]",
        "exact amortization gap",
        "sampled amortization gap",
    ];
    table_by_group(
        &SeedGroup::group_summary_cells(summary),
        &headings,
        |group| {
            if group.cells.iter().all(|c| c.oracle.is_none()) {
                return Vec::new();
            }
            let exact = |pick: fn(&ClosedFormComparison) -> Option<Mean>| {
                mean_text(group.mean(|c| pick(c.oracle.as_ref()?)))
            };
            vec![vec![
                exact(|o| Some(o.log_evidence)),
                exact(|o| Some(o.log_evidence_error)),
                exact(|o| Some(o.free_form_shortfall)),
                exact(|o| Some(o.elbo_error)),
                exact(|o| o.amortization_gap),
                mean_text(group.mean(|c| c.amortization_gap)),
            ]]
        },
    )
}
