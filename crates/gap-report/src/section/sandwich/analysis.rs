//! Bounds on `log p(x)` from both sides, on points that a model drew itself.

use crate::columns::{
    ANNEALED, ANNEALED_REVERSE, CLOSED_FORM, CellColumns, FREE_FORM_ELBO, FREE_FORM_IW,
    FREE_FORM_SMOOTHED,
};
use crate::paired_column::PairedColumn;
use crate::pairing::{PairedCell, pair};
use crate::section::reliability::analysis::{mean_acceptance, untrusted_by_reason};
use gap_schema::record::Record;
use gap_schema::summary::{Cell, Sandwich};
use gap_spec::{Estimator, Method, Split};

/// One for each variant, seed and model with simulated points that have a bound on either side; the
/// order of `records` has no effect.
///
/// Rows of encoders have no part: the bounds are of a model, which several of them may share.
pub(super) fn sandwiches(records: &[Record]) -> Vec<Sandwich> {
    let simulated = records.iter();
    let simulated = simulated.filter(|r| r.split == Split::Simulated && r.encoder.is_none());
    pair(simulated).iter().filter_map(sandwich).collect()
}

/// Puts the width of each model's sandwich beside the annealed estimates of its cells.
pub(super) fn add_widths(sandwiches: &[Sandwich], cells: &mut [Cell]) {
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

fn sandwich(cell: &PairedCell<'_>) -> Option<Sandwich> {
    let columns = CellColumns::new(cell);
    let (lower, upper) = (columns.get(ANNEALED)?, columns.get(ANNEALED_REVERSE)?);
    let width = upper.minus(&lower);
    let both = || {
        let lower = columns.all_rows(ANNEALED);
        lower.chain(columns.all_rows(ANNEALED_REVERSE))
    };
    let untrusted = untrusted_by_reason(both());
    let term_mean = |term| columns.get(term).as_ref().map(PairedColumn::mean);
    Some(Sandwich {
        variant: cell.variant.map(str::to_owned),
        dataset: cell.dataset.to_owned(),
        seed: cell.seed,
        model: cell.model.to_owned(),
        n: cell.points.len() as u64,
        lower: lower.mean(),
        upper: upper.mean(),
        width: width.mean(),
        elbo_free_form: term_mean(FREE_FORM_ELBO),
        iw_free_form: term_mean(FREE_FORM_IW),
        pareto_smoothed_free_form: term_mean(FREE_FORM_SMOOTHED),
        n_chains: columns.draws(ANNEALED),
        n_temperatures: both().filter_map(|r| r.diagnostics.n_temperatures).max(),
        exact: term_mean(CLOSED_FORM),
        contains_exact: contains_exact(&columns),
        negative_widths: width.count_negative(),
        non_finite: columns.non_finite(),
        untrusted: untrusted.values().sum(),
        untrusted_by_reason: untrusted,
        acceptance: mean_acceptance(both()),
        seconds: both().map(|r| r.diagnostics.seconds).sum(),
    })
}

/// Points whose exact value is no more than two standard errors outside of either bound.
fn contains_exact(columns: &CellColumns<'_>) -> Option<u64> {
    columns.has(CLOSED_FORM).then(|| {
        let bounds = columns.rows(ANNEALED).zip(columns.rows(ANNEALED_REVERSE));
        let contained = columns
            .rows(CLOSED_FORM)
            .zip(bounds)
            .filter(|(exact, (lower, upper))| {
                let lowest = lower.value_nats - 2.0 * lower.std_error_nats;
                let highest = upper.value_nats + 2.0 * upper.std_error_nats;
                (lowest..=highest).contains(&exact.value_nats)
            });
        contained.count() as u64
    })
}
