//! The table of the estimates of `log p(x)`, side by side.

use crate::across_seeds::{SeedGroup, error_bar_meaning, seed_counts};
use crate::table::number::{
    self, grouped, mean_text, part_of_all_text, range_text_or_absent, reason_counts_text, seconds,
    significant, text_or_absent,
};
use crate::table::{Table, table_by_model};
use gap_schema::Summary;
use gap_schema::summary::{AnnealedAgreement, Cell, Mean, MeanEvidenceEstimate};
use gap_spec::{Estimator, Method};
use std::collections::BTreeSet;

/// Whether the summary has an adaptive or an annealed estimate of `log p(x)`.
pub(super) fn has_evidence_beyond_draws(summary: &Summary) -> bool {
    let beyond = [Estimator::AdaptiveImportanceWeighted, Estimator::Annealed];
    let mut estimates = summary.cells.iter().flat_map(|cell| &cell.evidence);
    estimates.any(|estimate| beyond.contains(&estimate.estimator))
}

/// Returns the estimate's name in tables and figures: its estimator, and the `q` that it is from.
pub(super) fn estimate_name(method: Method, estimator: Estimator) -> String {
    match method {
        Method::FreeForm => format!("{estimator} of q*"),
        Method::Amortized => format!("{estimator} of q"),
        Method::Refined => format!("{estimator} of q_r"),
        Method::Model => estimator.to_string(),
    }
}

/// Returns the estimates that need no encoder, one row for each estimator. They belong to the model, so they
/// are shown once for all encoders that share a decoder.
pub(super) fn evidence_table(summary: &Summary) -> Table {
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
    let mut table = table_by_model(summary, &headings, |group| {
        let all = group.cells.iter().flat_map(|cell| &cell.evidence);
        let keys: BTreeSet<(Method, Estimator)> = all.map(|e| (e.method, e.estimator)).collect();
        keys.into_iter()
            .filter(|(method, _)| *method != Method::Amortized)
            .map(|key| evidence_row(group, key))
            .collect()
    });
    table.n_names += 1; // The column of estimators.
    table.notes = evidence_notes(&SeedGroup::groups_of_distinct_models(summary));
    table
}

fn evidence_row(group: &SeedGroup<'_>, (method, estimator): (Method, Estimator)) -> Vec<String> {
    let estimate = |cell: &Cell| {
        let mut all = cell.evidence.iter();
        all.find(|e| (e.method, e.estimator) == (method, estimator))
            .cloned()
    };
    let estimates: Vec<MeanEvidenceEstimate> = group
        .cells
        .iter()
        .filter_map(|cell| estimate(cell))
        .collect();
    let mean = |pick: fn(MeanEvidenceEstimate) -> Option<Mean>| {
        mean_text(group.mean(|cell| pick(estimate(cell)?)))
    };
    let average =
        |pick: fn(MeanEvidenceEstimate) -> Option<f64>| group.average(|cell| pick(estimate(cell)?));
    let temperatures = estimates
        .iter()
        .filter_map(|e| e.n_temperatures)
        .map(u64::from);
    let agreements: Vec<AnnealedAgreement> = estimates
        .iter()
        .filter_map(|e| e.annealed_agreement)
        .collect();
    vec![
        estimate_name(method, estimator),
        text_or_absent(estimates.first(), |e| e.side.to_string()),
        mean(|e| Some(e.mean)),
        mean(|e| Some(e.minus_log_evidence)),
        rounded(average(|e| Some(e.n_samples))),
        range_text_or_absent(temperatures),
        text_or_absent(average(|e| e.acceptance), |rate| significant(rate, 2)),
        mean(|e| e.sandwich_width),
        agreement_text(&agreements),
        reason_counts_text(estimates.iter().map(|e| &e.untrusted_by_reason)),
        text_or_absent(average(|e| Some(e.seconds)), seconds),
        rounded(average(|e| Some(e.joint_evaluations))),
    ]
}

fn rounded(value: Option<f64>) -> String {
    text_or_absent(value, |value| grouped(value.round() as u64))
}

/// Returns text such as `57 of 60 (59)`: how many points agree, and in parentheses how many have intervals that
/// overlap; [`number::ABSENT`] if there are no points.
fn agreement_text(agreements: &[AnnealedAgreement]) -> String {
    let sum = |count: fn(&AnnealedAgreement) -> u64| agreements.iter().map(count).sum::<u64>();
    match part_of_all_text(sum(|a| a.agree), sum(|a| a.n)) {
        text if text == number::ABSENT => text,
        text => format!("{text} ({})", grouped(sum(|a| a.overlap))),
    }
}

fn evidence_notes(groups: &[SeedGroup<'_>]) -> Vec<String> {
    if groups.is_empty() {
        return Vec::new();
    }
    vec![
        format!(
            "Estimates of log p(x) in nats per datapoint, all on the same points; ± is {}",
            error_bar_meaning(&seed_counts(groups))
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
