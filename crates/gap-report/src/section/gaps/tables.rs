//! Tables of the gaps, of the bounds whose differences they are, of the gap that remains after refinement, and
//! of single cells, not averaged over seeds.

use crate::across_seeds::{SeedGroup, error_bar_meaning, seed_counts};
use crate::table::number::{
    self, grouped, mean_text, plus_minus_text, significant, text_or_absent, value_or_range_text,
};
use crate::table::{Table, mean_gradients, mean_seconds, table_by_group};
use gap_schema::Summary;
use gap_schema::summary::{Cell, Cost, MIN_DIFFERENT_OPTIMA_NATS, Mean};
use std::collections::BTreeMap;

/// Returns the gaps, one row for each variant, encoder and split.
pub(super) fn gaps_table(summary: &Summary) -> Table {
    let headings = [
        "weights",
        "n",
        "seeds",
        "evidence",
        "approximation",
        "amortization",
        "one optimum",
        "refined (steps)",
        "IW gap",
        "inference",
        "neg/unconv/diff-opt/non-fin/heavy",
    ];
    let groups = SeedGroup::group_summary_cells(summary);
    let mut table = table_by_group(&groups, &headings, |group| {
        let refined = group.mean(|c| c.refined_gap);
        let steps = group.refinement_steps().last().copied();
        vec![vec![
            text_or_absent(group.encoder(), |e| grouped(e.weights)),
            value_or_range_text(group.cells.iter().map(|c| c.n)),
            group.n_seeds().to_string(),
            evidence_sources(group),
            mean_text(group.mean(|c| Some(c.approximation_gap))),
            mean_text(group.mean(|c| c.amortization_gap)),
            mean_text(group.mean(|c| c.amortization_gap_same_optimum)),
            match (refined, steps) {
                (Some(_), Some(steps)) => format!("{} ({steps})", mean_text(refined)),
                _ => number::ABSENT.to_owned(),
            },
            mean_text(group.mean(|c| c.iw_gap)),
            mean_text(group.mean(|c| c.inference_gap)),
            format!(
                "{}/{}/{}/{}/{}",
                group.total(|c| c.negative_gaps),
                group.total(|c| c.unconverged),
                group.total(|c| c.different_optima),
                group.total(|c| c.non_finite),
                group.total(|c| c.heavy_tails)
            ),
        ]]
    });
    table.notes = gap_notes(&groups);
    table
}

fn gap_notes(groups: &[SeedGroup<'_>]) -> Vec<String> {
    if groups.is_empty() {
        return vec!["No datapoint has been measured yet.".to_owned()];
    }
    let mut notes = vec![
        format!(
            "Gaps in nats per datapoint, means over seeds; ± is {}",
            error_bar_meaning(&seed_counts(groups))
        ),
        format!(
            "Counted at the end: negative gaps, unconverged ascents, starts that ended at different optima \
             (more than {MIN_DIFFERENT_OPTIMA_NATS} nats apart), non-finite points, points with a heavy tail of weights."
        ),
        "evidence: where log p̂(x) is from, the exact value or the lower bound with the highest mean."
            .to_owned(),
        "one optimum: the amortization gap over converged points whose starts agree.".to_owned(),
    ];
    let constant = groups.iter().map(|group| {
        let counts = group.cells.iter().map(|cell| cell.constant_inputs);
        counts.max().unwrap_or(0)
    });
    let constant = constant.max().unwrap_or(0);
    if constant > 0 {
        notes.push(format!(
            "Constant inputs: up to {} inputs of an encoder are the same at all training points. Where they differ \
             at others, no encoder can have learned what that means.",
            grouped(constant)
        ));
    }
    let monte_carlo = groups.iter().filter_map(|group| {
        let gap = group.mean(|c| c.amortization_gap.or(Some(c.approximation_gap)));
        gap.map(|gap| gap.mc_std_error_nats)
    });
    if let Some(largest) = monte_carlo.max_by(f64::total_cmp) {
        let largest = significant(largest, 2);
        let gap = if groups.iter().all(|group| group.encoder().is_none()) {
            "approximation"
        } else {
            "amortization"
        };
        notes.push(format!(
            "Monte Carlo error apart from that: at most {largest} nats on an {gap} gap."
        ));
    }
    notes
}

/// Returns the estimators that give the seeds' `log p̂(x)`, each with its number of seeds if there are several.
fn evidence_sources(group: &SeedGroup<'_>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for cell in &group.cells {
        *counts.entry(&cell.log_evidence.estimator).or_default() += 1;
    }
    let several = counts.len() > 1;
    let texts = counts.iter().map(|(estimator, n)| match several {
        true => format!("{estimator} ({n})"),
        false => (*estimator).to_owned(),
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// Returns the text on the source of `log p̂(x)`: its side, its estimators, and the width of the sandwich if
/// one of these is annealed.
fn evidence_source(group: &SeedGroup<'_>) -> String {
    let side = group.cells[0].log_evidence.side;
    let width = group.mean(|cell| {
        let estimates = cell.evidence.iter();
        let mut chosen =
            estimates.filter(|estimate| estimate.estimator.as_str() == cell.log_evidence.estimator);
        chosen.find_map(|estimate| estimate.sandwich_width)
    });
    let width = width.map_or_else(String::new, |width| {
        format!(", sandwich {}", mean_text(Some(width)))
    });
    format!("{side}, {}{width}", evidence_sources(group))
}

/// Returns the table of the bounds that the gaps are differences of.
pub(super) fn bounds_table(summary: &Summary) -> Table {
    let headings = [
        "log p̂(x)",
        "side, estimator",
        "L[q*]",
        "L[q]",
        "L[q_r]",
        "IW[q*]",
        "IW[q]",
    ];
    table_by_group(
        &SeedGroup::group_summary_cells(summary),
        &headings,
        |group| {
            vec![vec![
                mean_text(group.mean(|c| Some(c.log_evidence.mean))),
                evidence_source(group),
                mean_text(group.mean(|c| Some(c.elbo_free_form))),
                mean_text(group.mean(|c| c.elbo_amortized)),
                mean_text(group.mean(|c| Some(c.elbo_refined?.mean))),
                mean_text(group.mean(|c| Some(c.iw_free_form.mean))),
                mean_text(group.mean(|c| Some(c.iw_amortized?.mean))),
            ]]
        },
    )
}

/// Returns a table with one row for each [`Cell`] of the summary, not averaged over seeds: its mean gaps, with
/// their standard errors over datapoints.
pub(super) fn cells_table(summary: &Summary) -> Table {
    let mut table = Table::new(
        1,
        &[
            "cell",
            "n",
            "approximation",
            "amortization",
            "refined",
            "IW gap",
            "inference",
        ],
    );
    let text = |mean: Option<Mean>| {
        text_or_absent(mean, |m| plus_minus_text(m.mean_nats, m.std_error_nats))
    };
    for cell in &summary.cells {
        table.rows.push(vec![
            cell.cell.clone(),
            grouped(cell.n),
            text(Some(cell.approximation_gap)),
            text(cell.amortization_gap),
            text(cell.refined_gap),
            text(cell.iw_gap),
            text(cell.inference_gap),
        ]);
    }
    table
}

/// Returns the gap that remains after each number of refinement steps.
pub(super) fn refinement_table(summary: &Summary) -> Table {
    let headings = [
        "steps",
        "remaining gap",
        "Monte Carlo error",
        "seconds",
        "gradients/point",
    ];
    table_by_group(
        &SeedGroup::group_summary_cells(summary),
        &headings,
        |group| {
            let steps = std::iter::once(0).chain(group.refinement_steps());
            steps
                .filter_map(|steps| {
                    let gap = group.remaining_gap(steps)?;
                    Some(vec![
                        steps.to_string(),
                        mean_text(Some(gap)),
                        significant(gap.mc_std_error_nats, 2),
                        mean_seconds(group, |c| cost_of_steps(c, steps)),
                        mean_gradients(group, |c| cost_of_steps(c, steps)),
                    ])
                })
                .collect()
        },
    )
}

fn cost_of_steps(cell: &Cell, steps: u32) -> Option<Cost> {
    if steps == 0 {
        return cell.cost.amortized;
    }
    let mut points = cell.refinement.iter();
    points.find(|p| p.steps == steps).map(|p| Cost {
        seconds: p.seconds,
        joint_gradients: p.joint_gradients,
    })
}
