//! What is known of `log p(x)`: the estimate that gaps are taken from, and all of them side by side.

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

/// The lower bounds that may stand for `log p(x)`; of equal ones the first does.
const EVIDENCE_LOWER_BOUNDS: [MeasuredQuantity; 4] = [
    FREE_FORM_IW_QUANTITY,
    AMORTIZED_IW_QUANTITY,
    ADAPTIVE_IW_QUANTITY,
    ANNEALED_EVIDENCE_QUANTITY,
];

/// `log p̂(x)` of a cell: the exact value where there is one, and otherwise the best lower bound.
///
/// The best bound is the one with the highest mean over the cell's datapoints: of two lower bounds the
/// higher one is nearer, and the mean over a data set has little noise. The higher of two estimates at
/// each datapoint would be no bound: the noise of both would lift it.
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

/// Whether the term is an estimate of `log p(x)`; an exact ELBO or its maximum tells of `q` instead.
fn is_estimate(term: &MeasuredQuantity) -> bool {
    let about_q = [Estimator::ExactElbo, Estimator::OptimalElbo];
    term.steps.is_none() && !about_q.contains(&term.estimator)
}

/// Every estimate of `log p(x)` in a cell: those of `q*`, of the encoder's `q`, then of neither.
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
                sandwich_width: None, // The sandwiches know.
                annealed_agreement: annealed_agreement(columns, term),
                untrusted: untrusted.values().sum(),
                untrusted_by_reason: untrusted,
                seconds: rows().map(|r| r.diagnostics.seconds).sum(),
                joint_evaluations: mean(rows().map(|r| r.diagnostics.joint_evaluations as f64))?,
            })
        })
        .collect()
}

/// How far an estimate's 95% interval reaches to either side, nats: of a few chains the error is itself an
/// estimate, as Student's distribution has it.
fn interval_half_width_nats(row: &Record) -> f64 {
    student_quantile(row.n_samples.saturating_sub(1) as f64) * row.std_error_nats
}

/// The same of the difference of two independent estimates, with the degrees of freedom of Welch (1947).
fn difference_interval_half_width_nats(a: &Record, b: &Record) -> f64 {
    let [variance_a, variance_b] = [a, b].map(|row| row.std_error_nats.powi(2));
    let per_freedom = |row: &Record, variance: f64| {
        variance.powi(2) / row.n_samples.saturating_sub(1).max(1) as f64
    };
    let freedom = (variance_a + variance_b).powi(2)
        / (per_freedom(a, variance_a) + per_freedom(b, variance_b));
    student_quantile(freedom) * (variance_a + variance_b).sqrt()
}

/// Student's quantile for an interval of 95%.
fn student_quantile(freedom: f64) -> f64 {
    // Of many draws, or without an error at all, it is the normal one.
    let freedom = if freedom.is_finite() {
        freedom.clamp(1.0, 1e6)
    } else {
        1e6
    };
    let student = StudentsT::new(0.0, 1.0, freedom);
    let student = student.expect("degrees of freedom are positive");
    student.inverse_cdf(0.975)
}

/// How often the annealed estimate and the importance-weighted one of `term` agree, as [`AnnealedAgreement`]
/// defines it; `None` where one of them was not measured, or has no weights of its own.
pub(crate) fn annealed_agreement(
    columns: &CellColumns<'_>,
    term: MeasuredQuantity,
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
