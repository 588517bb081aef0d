//! Tables of the gaps, of the bounds whose differences they are, of the gap that remains after refinement, and
//! of single cells, not averaged over seeds.

use crate::across_seeds::{SeedGroup, error_bar_meaning, seed_counts};
use crate::table::number::{
    self, grouped, mean_text, plus_minus_text, significant, text_or_absent, value_or_range_text,
};
use crate::table::{Table, mean_gradients, mean_seconds, table_by_group, table_by_model};
use gap_schema::Summary;
use gap_schema::summary::{Cell, Cost, MIN_DIFFERENT_OPTIMA_NATS, Mean, ProtocolResult};
use std::collections::BTreeMap;

/// Returns the gaps, one row for each variant, encoder and split.
pub(super) fn gaps_table(summary: &Summary) -> Table {
    let groups = SeedGroup::group_summary_cells(summary);
    let mut refinements = SeedGroup::refinement_names_of_all(&groups);
    if refinements.is_empty() {
        refinements.insert(None); // An empty column, as the other gaps of encoders have without encoders.
    }
    let refined_headings = refinements.iter().map(|name| match name {
        None => "refined (steps)".to_owned(),
        Some(name) => format!("refined, {name} (steps)"),
    });
    let refined_headings: Vec<String> = refined_headings.collect();
    let refined_headings: Vec<&str> = refined_headings.iter().map(String::as_str).collect();
    let headings = [
        &[
            "weights",
            "n",
            "seeds",
            "evidence",
            "approximation",
            "amortization",
            "one optimum",
        ],
        &refined_headings[..],
        &["IW gap", "inference", "neg/unconv/diff-opt/non-fin/heavy"],
    ]
    .concat();
    let mut table = table_by_group(&groups, &headings, |group| {
        let before = [
            text_or_absent(group.encoder(), |e| grouped(e.weights)),
            value_or_range_text(group.cells.iter().map(|c| c.n)),
            group.n_seeds().to_string(),
            evidence_sources(group),
            mean_text(group.mean(|c| Some(c.approximation_gap))),
            mean_text(group.mean(|c| c.amortization_gap)),
            mean_text(group.mean(|c| c.amortization_gap_same_optimum)),
        ];
        let refined = refinements.iter().map(|name| refined_text(group, *name));
        let after = [
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
        ];
        vec![before.into_iter().chain(refined).chain(after).collect()]
    });
    table.notes = gap_notes(&groups);
    table
}

/// Returns the gap after the most steps of a refinement, with their number.
fn refined_text(group: &SeedGroup<'_>, name: Option<&str>) -> String {
    let gap = group.mean(|c| Some(c.refinement_of(name).last()?.gap));
    match (gap, group.refinement_steps(name).last()) {
        (Some(_), Some(steps)) => format!("{} ({steps})", mean_text(gap)),
        _ => number::ABSENT.to_owned(),
    }
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

/// The heading of the column that names refinements.
const REFINEMENT_HEADING: &str = "refinement";

/// Returns the gap that remains after each number of steps of each refinement.
pub(super) fn refinement_table(summary: &Summary) -> Table {
    let headings = [
        REFINEMENT_HEADING,
        "steps",
        "remaining gap",
        "Monte Carlo error",
        "seconds",
        "gradients/point",
    ];
    let groups = SeedGroup::group_summary_cells(summary);
    let mut table = table_by_group(&groups, &headings, |group| {
        let before = refinement_row(group, None, 0).map(|mut row| {
            number::ABSENT.clone_into(&mut row[0]);
            row
        });
        let after = group.refinement_names().into_iter().flat_map(|name| {
            let steps = group.refinement_steps(name).into_iter();
            steps.filter_map(move |steps| refinement_row(group, name, steps))
        });
        before.into_iter().chain(after).collect()
    });
    table.n_names += 1; // The column of refinements.
    let has_names = summary.cells.iter().any(|c| !c.refinements.is_empty());
    if has_names {
        table
    } else {
        table.without_column(REFINEMENT_HEADING)
    }
}

fn refinement_row(group: &SeedGroup<'_>, name: Option<&str>, steps: u32) -> Option<Vec<String>> {
    let gap = group.remaining_gap(name, steps)?;
    Some(vec![
        name.unwrap_or("(unnamed)").to_owned(),
        steps.to_string(),
        mean_text(Some(gap)),
        significant(gap.mc_std_error_nats, 2),
        mean_seconds(group, |c| cost_of_steps(c, name, steps)),
        mean_gradients(group, |c| cost_of_steps(c, name, steps)),
    ])
}

fn cost_of_steps(cell: &Cell, name: Option<&str>, steps: u32) -> Option<Cost> {
    if steps == 0 {
        return cell.cost.amortized;
    }
    let mut points = cell.refinement_of(name).iter();
    points.find(|p| p.steps == steps).map(|p| Cost {
        seconds: p.seconds,
        joint_gradients: p.joint_gradients,
    })
}

/// Returns what each other free-form protocol found, beside `q*`. Protocols belong to the model, so they are
/// shown once for all encoders that share a decoder.
pub(super) fn protocols_table(summary: &Summary) -> Table {
    let headings = [
        "protocol",
        "L[q_p]",
        "L[q*] − L[q_p]",
        "Monte Carlo error",
        "certified to",
        "unconverged",
        "above q*",
        "seconds",
        "gradients/point",
    ];
    let mut table = table_by_model(summary, &headings, |group| {
        let names = group.protocol_names().into_iter();
        names.map(|name| protocol_row(group, name)).collect()
    });
    table.n_names += 1; // The column of protocols.
    if !table.rows.is_empty() {
        table.notes = vec![
            format!(
                "Free-form protocols beside that of q*, in nats per datapoint on the same points and draws; ± is {}",
                error_bar_meaning(&seed_counts(&SeedGroup::groups_of_distinct_models(summary)))
            ),
            "q_p: what the protocol found. A gap that is measured from q_p in place of q* is smaller by L[q*] − L[q_p]."
                .to_owned(),
            "certified to: mean bound on how far q_p is below an optimum. unconverged: points where it is above the \
             protocol's own tolerance. above q*: points where the protocol found a better optimum than q*."
                .to_owned(),
        ];
    }
    table
}

fn protocol_row(group: &SeedGroup<'_>, name: &str) -> Vec<String> {
    let gap = group.mean(|c| Some(c.protocol(name)?.optimisation_gap));
    let bound = group.average(|c| c.protocol(name)?.mean_remaining_bound_nats);
    let total = |count: fn(&ProtocolResult) -> u64| {
        grouped(group.total(|c| c.protocol(name).map_or(0, count)))
    };
    vec![
        name.to_owned(),
        mean_text(group.mean(|c| Some(c.protocol(name)?.elbo))),
        mean_text(gap),
        text_or_absent(gap, |gap| significant(gap.mc_std_error_nats, 2)),
        text_or_absent(bound, |nats| significant(nats, 2)),
        total(|p| p.unconverged),
        total(|p| p.unexplained_negative_gaps),
        mean_seconds(group, |c| Some(c.protocol(name)?.cost)),
        mean_gradients(group, |c| Some(c.protocol(name)?.cost)),
    ]
}
