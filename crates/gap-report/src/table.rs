//! What the tables of a report hold; how they look as text is in [`layout`].

pub(crate) mod layout;
pub(crate) mod number;

use crate::across_seeds::{SeedGroup, SeedMean, spread_meaning};
use gap_schema::Summary;
use gap_schema::summary::{Cell, Cost, DIFFERENT_OPTIMA_NATS, Mean, Oracle};
use number::{grouped, option, plus_minus, seconds, significant};

/// A row of headings, rows of text, and notes below.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Table {
    pub(crate) headings: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    /// How many columns at the start are names, set flush left.
    pub(crate) n_names: usize,
    /// What a reader must know to read the numbers.
    pub(crate) notes: Vec<String>,
}

impl Table {
    fn new(n_names: usize, headings: &[&str]) -> Self {
        Self {
            headings: headings.iter().map(|&heading| heading.to_owned()).collect(),
            rows: Vec::new(),
            n_names,
            notes: Vec::new(),
        }
    }
}

/// The main results as aligned plain text, one row for each encoder and split, means over seeds.
pub fn text_table(summary: &Summary) -> String {
    layout::plain_text(&headline(summary))
}

fn names(group: &SeedGroup<'_>) -> [String; 2] {
    [encoder_name(group), group.split().to_string()]
}

pub(crate) fn encoder_name(group: &SeedGroup<'_>) -> String {
    group
        .encoder()
        .map_or_else(|| "(none)".to_owned(), |encoder| encoder.short())
}

fn mean_text(mean: Option<SeedMean>) -> String {
    option(mean, |m| plus_minus(m.mean_nats, m.std_error_nats))
}

fn same_or_range(values: impl Iterator<Item = u64> + Clone) -> String {
    let (low, high) = (values.clone().min(), values.max());
    match (low, high) {
        (Some(low), Some(high)) if low < high => format!("{}–{}", grouped(low), grouped(high)),
        (low, _) => grouped(low.unwrap_or(0)),
    }
}

/// The gaps, one row for each encoder and split.
pub(crate) fn headline(summary: &Summary) -> Table {
    let mut table = Table::new(
        2,
        &[
            "encoder",
            "split",
            "weights",
            "n",
            "seeds",
            "approximation",
            "amortization",
            "one optimum",
            "refined (steps)",
            "IW gap",
            "inference",
            "neg/unconv/diff-opt/non-fin",
        ],
    );
    let groups = SeedGroup::all(summary);
    for group in &groups {
        let refined = group.mean(|c| c.refined_gap);
        let steps = group.refinement_steps().last().copied();
        let [encoder, split] = names(group);
        table.rows.push(vec![
            encoder,
            split,
            option(group.encoder(), |e| grouped(e.weights)),
            same_or_range(group.cells.iter().map(|c| c.n)),
            group.cells.len().to_string(),
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
                "{}/{}/{}/{}",
                group.total(|c| c.negative_gaps),
                group.total(|c| c.unconverged),
                group.total(|c| c.different_optima),
                group.total(|c| c.non_finite)
            ),
        ]);
    }
    if groups.is_empty() {
        table
            .notes
            .push("No datapoint has been measured yet.".to_owned());
        return table;
    }
    table.notes.push(format!(
        "Gaps in nats per datapoint, means over seeds; ± is {}",
        spread_meaning(&groups)
    ));
    table.notes.push(format!(
        "Counted at the end: negative gaps, unconverged ascents, starts that ended at different optima \
         (more than {DIFFERENT_OPTIMA_NATS} nats apart), non-finite points."
    ));
    table.notes.push(
        "one optimum: the amortization gap over converged points whose starts agree.".to_owned(),
    );
    let monte_carlo = groups.iter().filter_map(|group| {
        let gap = group.mean(|c| c.amortization_gap.or(Some(c.approximation_gap)));
        gap.map(|gap| gap.mc_std_error_nats)
    });
    if let Some(largest) = monte_carlo.max_by(f64::total_cmp) {
        let largest = significant(largest, 2);
        table.notes.push(format!(
            "Monte Carlo error apart from that: at most {largest} nats on an amortization gap."
        ));
    }
    table
}

/// How far the numbers can be relied on.
pub(crate) fn reliability(summary: &Summary) -> Table {
    let mut table = Table::new(
        2,
        &[
            "encoder",
            "split",
            "points × seeds",
            "gap, all points",
            "gap, converged points",
            "gap, one optimum",
            "Monte Carlo error",
            "negative gaps",
            "unconverged",
            "different optima",
            "non-finite",
            "untrusted rows",
            "largest remaining (nats)",
            "largest bound on it",
            "generalisation gap",
        ],
    );
    for group in SeedGroup::all(summary) {
        let [encoder, split] = names(&group);
        let gap = group.mean(|c| c.amortization_gap);
        let largest = |pick: fn(&Cell) -> Option<f64>| {
            let of_seeds = group.cells.iter().filter_map(|c| pick(c));
            option(of_seeds.max_by(f64::total_cmp), |nats| significant(nats, 2))
        };
        table.rows.push(vec![
            encoder,
            split,
            grouped(group.total(|c| c.n)),
            mean_text(gap),
            mean_text(group.mean(|c| c.amortization_gap_converged)),
            mean_text(group.mean(|c| c.amortization_gap_same_optimum)),
            option(gap, |gap| significant(gap.mc_std_error_nats, 2)),
            grouped(group.total(|c| c.negative_gaps)),
            grouped(group.total(|c| c.unconverged)),
            grouped(group.total(|c| c.different_optima)),
            grouped(group.total(|c| c.non_finite)),
            grouped(group.total(|c| c.untrusted)),
            largest(|c| c.max_remaining_nats),
            largest(|c| c.max_remaining_bound_nats),
            mean_text(group.mean(|c| c.generalisation_gap)),
        ]);
    }
    table
}

/// The bounds that the gaps are differences of.
pub(crate) fn bounds(summary: &Summary) -> Table {
    let mut table = Table::new(
        2,
        &[
            "encoder",
            "split",
            "log p̂(x)",
            "side, estimator",
            "L[q*]",
            "L[q]",
            "L[q_r]",
            "IW[q*]",
            "IW[q]",
        ],
    );
    for group in SeedGroup::all(summary) {
        let [encoder, split] = names(&group);
        let evidence = &group.cells[0].log_evidence;
        table.rows.push(vec![
            encoder,
            split,
            mean_text(group.mean(|c| Some(c.log_evidence.mean))),
            format!("{}, {}", evidence.side, evidence.estimator),
            mean_text(group.mean(|c| Some(c.elbo_free_form))),
            mean_text(group.mean(|c| c.elbo_amortized)),
            mean_text(group.mean(|c| Some(c.elbo_refined?.mean))),
            mean_text(group.mean(|c| Some(c.iw_free_form.mean))),
            mean_text(group.mean(|c| Some(c.iw_amortized?.mean))),
        ]);
    }
    table
}

/// Parameters: free-form inference's grow with the number of points, an encoder's do not.
pub(crate) fn parameters(summary: &Summary) -> Table {
    let mut table = Table::new(
        2,
        &[
            "encoder",
            "split",
            "n",
            "free-form parameters",
            "amortized parameters",
            "free-form / amortized",
        ],
    );
    for group in SeedGroup::all(summary) {
        let [encoder, split] = names(&group);
        let free_form = || group.cells.iter().map(|c| c.free_form_params);
        let weights = group.encoder().map(|encoder| encoder.weights);
        let ratio = free_form()
            .max()
            .zip(weights.filter(|&weights| weights > 0));
        table.rows.push(vec![
            encoder,
            split,
            same_or_range(group.cells.iter().map(|c| c.n)),
            same_or_range(free_form()),
            option(weights, grouped),
            option(ratio, |(free_form, weights)| {
                significant(free_form as f64 / weights as f64, 2)
            }),
        ]);
    }
    table
}

/// Wall time and joint gradients, means over seeds.
pub(crate) fn costs(summary: &Summary) -> Table {
    let mut table = Table::new(
        2,
        &[
            "encoder",
            "split",
            "fit: s",
            "fit: gradients",
            "amortized: s",
            "refined: s",
            "refined: gradients/point",
            "free-form: s",
            "free-form: gradients/point",
        ],
    );
    for group in SeedGroup::all(summary) {
        let [encoder, split] = names(&group);
        let time = |cost: fn(&Cell) -> Option<Cost>| {
            option(group.average(|c| Some(cost(c)?.seconds)), seconds)
        };
        let gradients = |cost: fn(&Cell) -> Option<Cost>| {
            let mean = group.average(|c| Some(cost(c)?.joint_gradients));
            option(mean, |mean| grouped(mean.round() as u64))
        };
        table.rows.push(vec![
            encoder,
            split,
            time(|c| c.cost.encoder_fit),
            gradients(|c| c.cost.encoder_fit),
            time(|c| c.cost.amortized),
            time(|c| c.cost.refined),
            gradients(|c| c.cost.refined),
            time(|c| Some(c.cost.free_form)),
            gradients(|c| Some(c.cost.free_form)),
        ]);
    }
    table
}

/// What remains of the gap after each number of refinement steps.
pub(crate) fn refinement(summary: &Summary) -> Table {
    let mut table = Table::new(
        2,
        &[
            "encoder",
            "split",
            "steps",
            "remaining gap",
            "Monte Carlo error",
            "seconds",
            "gradients/point",
        ],
    );
    for group in SeedGroup::all(summary) {
        for steps in std::iter::once(0).chain(group.refinement_steps()) {
            let Some(gap) = group.remaining_gap(steps) else {
                continue;
            };
            let cost = |c: &Cell| match steps {
                0 => c.cost.amortized,
                _ => c
                    .refinement
                    .iter()
                    .find(|p| p.steps == steps)
                    .map(|p| Cost {
                        seconds: p.seconds,
                        joint_gradients: p.joint_gradients,
                    }),
            };
            let [encoder, split] = names(&group);
            table.rows.push(vec![
                encoder,
                split,
                steps.to_string(),
                mean_text(Some(gap)),
                significant(gap.mc_std_error_nats, 2),
                option(group.average(|c| Some(cost(c)?.seconds)), seconds),
                option(group.average(|c| Some(cost(c)?.joint_gradients)), |mean| {
                    grouped(mean.round() as u64)
                }),
            ]);
        }
    }
    table
}

/// The estimates against closed forms; no rows where the model has none.
pub(crate) fn oracle(summary: &Summary) -> Table {
    let mut table = Table::new(
        2,
        &[
            "encoder",
            "split",
            "exact log p(x)",
            "log p̂ − log p",
            "optimum − L[q*]",
            "sampled − exact L[q*]",
            "exact amortization gap",
            "sampled amortization gap",
        ],
    );
    for group in SeedGroup::all(summary) {
        if group.cells.iter().all(|c| c.oracle.is_none()) {
            continue;
        }
        let [encoder, split] = names(&group);
        let exact =
            |pick: fn(&Oracle) -> Option<Mean>| mean_text(group.mean(|c| pick(c.oracle.as_ref()?)));
        table.rows.push(vec![
            encoder,
            split,
            exact(|o| Some(o.log_evidence)),
            exact(|o| Some(o.log_evidence_error)),
            exact(|o| Some(o.free_form_shortfall)),
            exact(|o| Some(o.elbo_error)),
            exact(|o| o.amortization_gap),
            mean_text(group.mean(|c| c.amortization_gap)),
        ]);
    }
    table
}

/// Every cell by itself, with its errors over datapoints.
pub(crate) fn cells(summary: &Summary) -> Table {
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
    let text = |mean: Option<Mean>| option(mean, |m| plus_minus(m.mean_nats, m.std_error_nats));
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
