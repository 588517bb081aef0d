//! The estimates of `log p(x)` side by side, and the sandwiches of simulated points.

use super::number::{self, grouped, option, seconds, significant};
use super::{Table, mean_text, reasons_text, same_or_range};
use crate::across_seeds::{SeedGroup, SeedMean, Spread, seeds_of, spread_meaning};
use crate::variant::variant_order;
use gap_schema::Summary;
use gap_schema::summary::{Agreement, Cell, EvidenceEstimate, Mean, Sandwich};
use gap_spec::{Estimator, Method};
use std::collections::BTreeSet;

/// Whether some estimate of `log p(x)` is nearer than those of a fixed number of plain draws.
pub(crate) fn has_evidence_beyond_draws(summary: &Summary) -> bool {
    let beyond = [Estimator::AdaptiveImportanceWeighted, Estimator::Annealed];
    let mut estimates = summary.cells.iter().flat_map(|cell| &cell.evidence);
    estimates.any(|estimate| beyond.contains(&estimate.estimator))
}

/// The estimate's name in tables and figures: what it is, and of which `q`.
pub(crate) fn estimate_name(method: Method, estimator: Estimator) -> String {
    match method {
        Method::FreeForm => format!("{estimator} of q*"),
        Method::Amortized => format!("{estimator} of q"),
        Method::Refined => format!("{estimator} of q_r"),
        Method::Model => estimator.to_string(),
    }
}

/// What was estimated without an encoder, one row for each estimator; it belongs to the model, so the
/// encoders of a shared decoder have it once.
pub(crate) fn evidence(summary: &Summary) -> Table {
    let headings = [
        "estimator",
        "side",
        "log p(x)",
        "− log p̂(x)",
        "draws",
        "temperatures",
        "acceptance",
        "sandwich width",
        "agrees with annealed",
        "untrusted",
        "seconds",
        "evaluations/point",
    ];
    let groups = SeedGroup::of_distinct_models(summary);
    let mut table = Table::of_groups(&groups, &headings, |group| {
        let all = group.cells.iter().flat_map(|cell| &cell.evidence);
        let keys: BTreeSet<(Method, Estimator)> = all.map(|e| (e.method, e.estimator)).collect();
        keys.into_iter()
            .filter(|(method, _)| *method != Method::Amortized)
            .map(|key| evidence_row(group, key))
            .collect()
    });
    table.n_names += 1; // The estimator's.
    let place = |group: &SeedGroup<'_>| (group.variant().map(str::to_owned), group.split());
    let places: BTreeSet<_> = groups.iter().map(place).collect();
    if places.len() == groups.len() {
        table = table.without("encoder");
    }
    table.notes = evidence_notes(&groups);
    table
}

fn evidence_row(group: &SeedGroup<'_>, (method, estimator): (Method, Estimator)) -> Vec<String> {
    let of = |cell: &Cell| {
        let mut all = cell.evidence.iter();
        all.find(|e| (e.method, e.estimator) == (method, estimator))
            .cloned()
    };
    let found: Vec<EvidenceEstimate> = group.cells.iter().filter_map(|cell| of(cell)).collect();
    let mean =
        |pick: fn(EvidenceEstimate) -> Option<Mean>| mean_text(group.mean(|cell| pick(of(cell)?)));
    let average = |pick: fn(EvidenceEstimate) -> Option<f64>| group.average(|cell| pick(of(cell)?));
    let temperatures = found.iter().filter_map(|e| e.n_temperatures).map(u64::from);
    let agreements: Vec<Agreement> = found.iter().filter_map(|e| e.annealed_agreement).collect();
    vec![
        estimate_name(method, estimator),
        option(found.first(), |e| e.side.to_string()),
        mean(|e| Some(e.mean)),
        mean(|e| Some(e.minus_log_evidence)),
        rounded(average(|e| Some(e.n_samples))),
        range_or_absent(temperatures),
        option(average(|e| e.acceptance), |rate| significant(rate, 2)),
        mean(|e| e.sandwich_width),
        agreement_text(&agreements),
        reasons_text(found.iter().map(|e| &e.untrusted_by_reason)),
        option(average(|e| Some(e.seconds)), seconds),
        rounded(average(|e| Some(e.joint_evaluations))),
    ]
}

fn rounded(value: Option<f64>) -> String {
    option(value, |value| grouped(value.round() as u64))
}

fn range_or_absent(values: impl Iterator<Item = u64> + Clone) -> String {
    if values.clone().next().is_none() {
        return number::ABSENT.to_owned();
    }
    same_or_range(values)
}

/// `57 of 60 (59)`: those that agree, and those whose intervals overlap; nothing of none.
fn agreement_text(agreements: &[Agreement]) -> String {
    let sum = |count: fn(&Agreement) -> u64| agreements.iter().map(count).sum::<u64>();
    match counted_of(sum(|a| a.agree), sum(|a| a.n)) {
        text if text == number::ABSENT => text,
        text => format!("{text} ({})", grouped(sum(|a| a.overlap))),
    }
}

/// `57 of 60`; nothing of none.
fn counted_of(part: u64, all: u64) -> String {
    if all == 0 {
        return number::ABSENT.to_owned();
    }
    format!("{} of {}", grouped(part), grouped(all))
}

fn evidence_notes(groups: &[SeedGroup<'_>]) -> Vec<String> {
    if groups.is_empty() {
        return Vec::new();
    }
    vec![
        format!(
            "Estimates of log p(x) in nats per datapoint, all on the same points; ± is {}",
            spread_meaning(&seeds_of(groups))
        ),
        "− log p̂(x): paired difference to the estimate that gaps are taken from. sandwich width: mean \
         upper minus lower bound on points that the same model drew, which bounds an annealed number's \
         error there."
            .to_owned(),
        "agrees with annealed: points where the difference of the two is within its own 95% interval, of those whose \
         importance weights are trusted (in parentheses, where their 95% intervals overlap); true errors would \
         make it 95% of them, and where it is fewer, the lower one has missed something. untrusted: points whose standard error is marked as unreliable, by the \
         reason."
            .to_owned(),
        "Seconds are of all points together; estimators that share their draws each have the time of all \
         of them."
            .to_owned(),
    ]
}

/// The sandwiches, one row for each variant, means over models; no rows where none was measured.
pub(crate) fn sandwich(summary: &Summary) -> Table {
    let headings = [
        "variant",
        "data",
        "models",
        "points",
        "lower",
        "upper",
        "width",
        "L[q*]",
        "IW[q*]",
        "PSIS[q*]",
        "exact",
        "holds exact",
        "upper < lower",
        "non-finite",
        "untrusted",
        "acceptance",
        "chains × temperatures",
        "seconds",
    ];
    let mut table = Table::new(2, &headings);
    let mut all: Vec<&Sandwich> = summary.sandwich.iter().collect();
    all.sort_by(|a, b| place(a).cmp(&place(b)));
    let groups: Vec<&[&Sandwich]> = all.chunk_by(|a, b| place(a) == place(b)).collect();
    table.rows = groups.iter().map(|group| sandwich_row(group)).collect();
    table.notes = sandwich_notes(&groups);
    if summary.sandwich.iter().all(|s| s.variant.is_none()) {
        table = table.without("variant");
    }
    if summary.sandwich.iter().all(|s| s.exact.is_none()) {
        table = table.without("exact").without("holds exact");
    }
    table
}

fn place(sandwich: &Sandwich) -> impl Ord + use<'_> {
    (
        variant_order(sandwich.variant.as_deref()),
        &sandwich.dataset,
    )
}

fn sandwich_row(models: &[&Sandwich]) -> Vec<String> {
    let mean = |pick: fn(&Sandwich) -> Option<Mean>| {
        let means: Vec<Mean> = models.iter().filter_map(|model| pick(model)).collect();
        mean_text(SeedMean::of(&means, Spread::of(models.len())))
    };
    let total = |count: fn(&Sandwich) -> u64| models.iter().map(|model| count(model)).sum::<u64>();
    let average = |pick: fn(&Sandwich) -> Option<f64>| {
        let values: Vec<f64> = models.iter().filter_map(|model| pick(model)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let with_exact = models.iter().filter(|model| model.exact.is_some());
    let temperatures = models.iter().filter_map(|model| model.n_temperatures);
    vec![
        option(models[0].variant.as_deref(), str::to_owned),
        models[0].dataset.clone(),
        models.len().to_string(),
        same_or_range(models.iter().map(|model| model.n)),
        mean(|s| Some(s.lower)),
        mean(|s| Some(s.upper)),
        mean(|s| Some(s.width)),
        mean(|s| s.elbo_free_form),
        mean(|s| s.iw_free_form),
        mean(|s| s.pareto_smoothed_free_form),
        mean(|s| s.exact),
        counted_of(
            total(|s| s.contains_exact.unwrap_or(0)),
            with_exact.map(|model| model.n - model.non_finite).sum(),
        ),
        grouped(total(|s| s.negative_widths)),
        grouped(total(|s| s.non_finite)),
        reasons_text(models.iter().map(|model| &model.untrusted_by_reason)),
        option(average(|s| s.acceptance), |rate| significant(rate, 2)),
        format!(
            "{} × {}",
            same_or_range(models.iter().map(|model| model.n_chains)),
            range_or_absent(temperatures.map(u64::from))
        ),
        option(average(|s| Some(s.seconds)), seconds),
    ]
}

fn sandwich_notes(groups: &[&[&Sandwich]]) -> Vec<String> {
    let Some(most) = groups.iter().map(|group| group.len()).max() else {
        return Vec::new();
    };
    let spread = match Spread::of(most) {
        Spread::Seeds => {
            "over models, from the spread of their means; over points where there is one model"
        }
        Spread::Datapoints => "over points; there is one model",
    };
    let mut all = groups.iter().flat_map(|group| group.iter());
    let has_exact = all.any(|sandwich| sandwich.exact.is_some());
    let exact = " holds exact: points whose exact value is at most 2 standard errors outside.";
    vec![
        format!(
            "Sandwich: annealed importance sampling forwards (lower) and backwards from a draw of the \
             posterior (upper), in nats, on points that the model drew itself; ± is one standard error \
             {spread}."
        ),
        format!(
            "upper < lower: points whose bounds crossed, which Monte Carlo error alone does; they are in \
             the width.{}",
            if has_exact { exact } else { "" }
        ),
    ]
}
