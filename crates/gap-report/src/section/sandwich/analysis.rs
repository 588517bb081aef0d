//! Bounds on `log p(x)` from both sides, on points that a model drew itself.

use crate::columns::{
    ANNEALED_EVIDENCE_QUANTITY, ANNEALED_REVERSE_EVIDENCE_QUANTITY, CLOSED_FORM_EVIDENCE_QUANTITY,
    CellColumns, FREE_FORM_ELBO_QUANTITY, FREE_FORM_IW_QUANTITY,
    FREE_FORM_PARETO_SMOOTHED_QUANTITY,
};
use crate::paired_column::PairedColumn;
use crate::pairing::{PairedCell, pair_records};
use crate::section::reliability::analysis::{mean_acceptance, untrusted_by_reason};
use gap_schema::record::Record;
use gap_schema::summary::{Cell, EvidenceSandwich};
use gap_spec::{Estimator, Method, Split};

/// Returns one sandwich for each variant, seed and model that has both a lower and an upper bound on simulated
/// points; the order of `records` has no effect.
///
/// Rows of encoders are left out: the bounds belong to the model, which several encoders may share.
pub(super) fn evidence_sandwiches(records: &[Record]) -> Vec<EvidenceSandwich> {
    let simulated = records.iter();
    let simulated = simulated.filter(|r| r.split == Split::Simulated && r.encoder.is_none());
    pair_records(simulated)
        .iter()
        .filter_map(evidence_sandwich)
        .collect()
}

/// Stores the width of each model's sandwich in the annealed estimates of the model's cells.
pub(super) fn add_sandwich_widths_to_cells(sandwiches: &[EvidenceSandwich], cells: &mut [Cell]) {
    fn key<'a>(variant: &'a Option<String>, seed: u64, model: &'a str) -> impl Eq + use<'a> {
        (variant.as_deref(), seed, model)
    }
    for cell in cells {
        let model = key(&cell.variant, cell.seed, &cell.model);
        let mut own = sandwiches.iter();
        let own =
            own.find(|sandwich| key(&sandwich.variant, sandwich.seed, &sandwich.model) == model);
        let annealed = cell.evidence.iter_mut();
        let annealed =
            annealed.filter(|e| (e.method, e.estimator) == (Method::Model, Estimator::Annealed));
        for estimate in annealed {
            estimate.sandwich_width = own.map(|sandwich| sandwich.width);
        }
    }
}

fn evidence_sandwich(cell: &PairedCell<'_>) -> Option<EvidenceSandwich> {
    let columns = CellColumns::new(cell);
    let (lower, upper) = (
        columns.finite_column(ANNEALED_EVIDENCE_QUANTITY)?,
        columns.finite_column(ANNEALED_REVERSE_EVIDENCE_QUANTITY)?,
    );
    let width = upper.minus(&lower);
    let both = || {
        let lower = columns.records_of_quantity(ANNEALED_EVIDENCE_QUANTITY);
        lower.chain(columns.records_of_quantity(ANNEALED_REVERSE_EVIDENCE_QUANTITY))
    };
    let untrusted = untrusted_by_reason(both());
    let term_mean = |term| columns.finite_column(term).as_ref().map(PairedColumn::mean);
    Some(EvidenceSandwich {
        variant: cell.variant.map(str::to_owned),
        dataset: cell.dataset.to_owned(),
        seed: cell.seed,
        model: cell.model.to_owned(),
        n: cell.points.len() as u64,
        lower: lower.mean(),
        upper: upper.mean(),
        width: width.mean(),
        elbo_free_form: term_mean(FREE_FORM_ELBO_QUANTITY),
        iw_free_form: term_mean(FREE_FORM_IW_QUANTITY),
        pareto_smoothed_free_form: term_mean(FREE_FORM_PARETO_SMOOTHED_QUANTITY),
        n_chains: columns.max_samples(ANNEALED_EVIDENCE_QUANTITY),
        n_temperatures: both().filter_map(|r| r.diagnostics.n_temperatures).max(),
        exact: term_mean(CLOSED_FORM_EVIDENCE_QUANTITY),
        contains_exact: count_points_containing_exact(&columns),
        negative_widths: width.count_negative(),
        non_finite: columns.n_non_finite_points(),
        untrusted: untrusted.values().sum(),
        untrusted_by_reason: untrusted,
        acceptance: mean_acceptance(both()),
        seconds: both().map(|r| r.diagnostics.seconds).sum(),
    })
}

/// Returns the number of points whose exact value is between the bounds, or outside by at most two standard
/// errors of the nearer bound; `None` without exact values.
fn count_points_containing_exact(columns: &CellColumns<'_>) -> Option<u64> {
    columns
        .has_quantity(CLOSED_FORM_EVIDENCE_QUANTITY)
        .then(|| {
            let bounds = columns
                .finite_records_of_quantity(ANNEALED_EVIDENCE_QUANTITY)
                .zip(columns.finite_records_of_quantity(ANNEALED_REVERSE_EVIDENCE_QUANTITY));
            let contained = columns
                .finite_records_of_quantity(CLOSED_FORM_EVIDENCE_QUANTITY)
                .zip(bounds)
                .filter(|(exact, (lower, upper))| {
                    let lowest = lower.value_nats - 2.0 * lower.std_error_nats;
                    let highest = upper.value_nats + 2.0 * upper.std_error_nats;
                    (lowest..=highest).contains(&exact.value_nats)
                });
            contained.count() as u64
        })
}
