//! The estimates of `log p(x)` in a cell: all of them side by side, and the one that gaps are computed from.

use crate::columns::{
    ADAPTIVE_IW_QUANTITY, AMORTIZED_IW_QUANTITY, ANNEALED_EVIDENCE_QUANTITY,
    CLOSED_FORM_EVIDENCE_QUANTITY, CellColumns, FREE_FORM_IW_QUANTITY,
};
use crate::paired_column::{PairedColumn, mean};
use crate::pairing::MeasuredQuantity;
use crate::section::reliability::analysis::{mean_acceptance, untrusted_by_reason};
use gap_schema::record::Record;
use gap_schema::summary::{AnnealedAgreement, BestMeanLogEvidence, MeanEvidenceEstimate};
use gap_spec::{Estimator, Side, Trust};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The lower bounds that may serve as `log p̂(x)`; of equal ones, the first does.
const EVIDENCE_LOWER_BOUNDS: [MeasuredQuantity<'static>; 4] = [
    FREE_FORM_IW_QUANTITY,
    AMORTIZED_IW_QUANTITY,
    ADAPTIVE_IW_QUANTITY,
    ANNEALED_EVIDENCE_QUANTITY,
];

/// `log p̂(x)` of a cell: the exact value if there is one, and otherwise the best lower bound.
///
/// The best bound is the one with the highest mean over the cell's datapoints: the higher of two lower bounds
/// is nearer to the truth, and a mean over a data set has little noise. To take the higher of two estimates at
/// each datapoint would not give a bound, since it favours estimates that noise has raised.
pub(crate) struct BestEvidence {
    pub(crate) exact: Option<PairedColumn>,
    pub(crate) best_bound: PairedColumn,
    best_estimator: Estimator,
}

impl BestEvidence {
    pub(crate) fn new(columns: &CellColumns<'_>) -> Self {
        let bounds = EVIDENCE_LOWER_BOUNDS
            .iter()
            .filter_map(|term| Some((term.estimator, columns.finite_column(*term)?)));
        let (best_estimator, best_bound) = bounds
            .reduce(|best, next| {
                if next.1.mean().mean_nats > best.1.mean().mean_nats {
                    next
                } else {
                    best
                }
            })
            .expect("a cell has its free-form terms");
        Self {
            exact: columns.finite_column(CLOSED_FORM_EVIDENCE_QUANTITY),
            best_bound,
            best_estimator,
        }
    }

    pub(crate) fn column(&self) -> &PairedColumn {
        self.exact.as_ref().unwrap_or(&self.best_bound)
    }

    pub(crate) fn log_evidence(&self) -> BestMeanLogEvidence {
        let (side, estimator) = match self.exact {
            Some(_) => (Side::Exact, Estimator::ClosedForm),
            None => (Side::Lower, self.best_estimator),
        };
        BestMeanLogEvidence {
            mean: self.column().mean(),
            side,
            estimator: estimator.to_string(),
        }
    }
}

/// Whether the quantity is listed as an estimate of `log p(x)`. An exact ELBO and its maximum are not, since
/// they describe `q`; nor are estimates from a refined `q`, or from what another protocol found.
fn is_estimate(term: &MeasuredQuantity<'_>) -> bool {
    let about_q = [Estimator::ExactElbo, Estimator::OptimalElbo];
    term.steps.is_none() && term.name.is_none() && !about_q.contains(&term.estimator)
}

/// Returns every estimate of `log p(x)` in a cell: those from `q*`, then those from the encoder's `q`, then
/// those of the model alone. Each is compared with `evidence`, the cell's `log p̂(x)`.
pub(crate) fn estimates(
    columns: &CellColumns<'_>,
    evidence: &PairedColumn,
) -> Vec<MeanEvidenceEstimate> {
    let terms = columns.measured_quantities().filter(is_estimate);
    terms
        .filter_map(|term| {
            let column = columns.finite_column(term)?;
            let rows = || columns.records_of_quantity(term);
            let untrusted = untrusted_by_reason(rows());
            Some(MeanEvidenceEstimate {
                estimator: term.estimator,
                method: term.method,
                side: rows().next()?.side,
                mean: column.mean(),
                minus_log_evidence: column.minus(evidence).mean(),
                n_samples: mean(rows().map(|r| r.n_samples as f64))?,
                n_temperatures: rows().filter_map(|r| r.diagnostics.n_temperatures).max(),
                acceptance: mean_acceptance(rows()),
                sandwich_width: None, // `add_sandwich_widths_to_cells` sets it.
                annealed_agreement: annealed_agreement(columns, term),
                untrusted: untrusted.values().sum(),
                untrusted_by_reason: untrusted,
                seconds: rows().map(|r| r.diagnostics.seconds).sum(),
                joint_evaluations: mean(rows().map(|r| r.diagnostics.joint_evaluations as f64))?,
            })
        })
        .collect()
}

/// Returns half the width of an estimate's 95% interval, in nats. It uses Student's distribution, because with
/// few chains the standard error is itself uncertain.
fn interval_half_width_nats(row: &Record) -> f64 {
    student_quantile(row.n_samples.saturating_sub(1) as f64) * row.std_error_nats
}

/// Returns half the width, in nats, of the 95% interval of the difference of two independent estimates, with
/// the degrees of freedom of Welch (1947).
fn difference_interval_half_width_nats(a: &Record, b: &Record) -> f64 {
    let [variance_a, variance_b] = [a, b].map(|row| row.std_error_nats.powi(2));
    let per_freedom = |row: &Record, variance: f64| {
        variance.powi(2) / row.n_samples.saturating_sub(1).max(1) as f64
    };
    let freedom = (variance_a + variance_b).powi(2)
        / (per_freedom(a, variance_a) + per_freedom(b, variance_b));
    student_quantile(freedom) * (variance_a + variance_b).sqrt()
}

/// Returns Student's quantile for a 95% interval.
fn student_quantile(freedom: f64) -> f64 {
    // `freedom` is NaN if there is no error at all. A million degrees of freedom give practically the normal
    // quantile.
    let freedom = if freedom.is_finite() {
        freedom.clamp(1.0, 1e6)
    } else {
        1e6
    };
    let student = StudentsT::new(0.0, 1.0, freedom);
    let student = student.expect("degrees of freedom are positive");
    student.inverse_cdf(0.975)
}

/// Counts how often the annealed estimate agrees with the importance-weighted estimate `term`, as
/// [`AnnealedAgreement`] defines it. The result is `None` if one of them was not measured, or if `term` is
/// neither `IW_K[q*]` nor the adaptive estimate.
pub(crate) fn annealed_agreement<'a>(
    columns: &CellColumns<'a>,
    term: MeasuredQuantity<'a>,
) -> Option<AnnealedAgreement> {
    let is_weighted = [FREE_FORM_IW_QUANTITY, ADAPTIVE_IW_QUANTITY].contains(&term);
    (is_weighted && columns.has_quantity(term) && columns.has_quantity(ANNEALED_EVIDENCE_QUANTITY))
        .then(|| {
            let pairs = columns
                .finite_records_of_quantity(term)
                .zip(columns.finite_records_of_quantity(ANNEALED_EVIDENCE_QUANTITY));
            let trusted: Vec<(&Record, &Record)> = pairs
                .filter(|(weighted, _)| weighted.trust == Trust::Ok)
                .collect();
            let within = |margin: fn(&Record, &Record) -> f64| {
                let agree = |(weighted, annealed): &&(&Record, &Record)| {
                    (weighted.value_nats - annealed.value_nats).abs() <= margin(weighted, annealed)
                };
                trusted.iter().filter(agree).count() as u64
            };
            AnnealedAgreement {
                n: trusted.len() as u64,
                agree: within(difference_interval_half_width_nats),
                overlap: within(|a, b| interval_half_width_nats(a) + interval_half_width_nats(b)),
            }
        })
}
