//! What is known of `log p(x)`: the estimate that gaps are taken from, and all of them side by side.

use crate::columns::{ADAPTIVE_IW, AMORTIZED_IW, ANNEALED, CLOSED_FORM, CellColumns, FREE_FORM_IW};
use crate::paired_column::{PairedColumn, mean};
use crate::pairing::MeasuredQuantity;
use crate::section::reliability::analysis::{mean_acceptance, untrusted_by_reason};
use gap_schema::record::Record;
use gap_schema::summary::{Agreement, EvidenceEstimate, LogEvidence};
use gap_spec::{Estimator, Side, Trust};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The lower bounds that may stand for `log p(x)`; of equal ones the first does.
const BOUNDS: [MeasuredQuantity; 4] = [FREE_FORM_IW, AMORTIZED_IW, ADAPTIVE_IW, ANNEALED];

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
        let bounds = BOUNDS
            .iter()
            .filter_map(|term| Some((term.estimator, columns.get(*term)?)));
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
            exact: columns.get(CLOSED_FORM),
            best_bound,
            best_estimator,
        }
    }

    pub(crate) fn column(&self) -> &PairedColumn {
        self.exact.as_ref().unwrap_or(&self.best_bound)
    }

    pub(crate) fn log_evidence(&self) -> LogEvidence {
        let (side, estimator) = match self.exact {
            Some(_) => (Side::Exact, Estimator::ClosedForm),
            None => (Side::Lower, self.best_estimator),
        };
        LogEvidence {
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
) -> Vec<EvidenceEstimate> {
    let terms = columns.terms().filter(is_estimate);
    terms
        .filter_map(|term| {
            let column = columns.get(term)?;
            let rows = || columns.all_rows(term);
            let untrusted = untrusted_by_reason(rows());
            Some(EvidenceEstimate {
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
fn half_interval(row: &Record) -> f64 {
    student_quantile(row.n_samples.saturating_sub(1) as f64) * row.std_error_nats
}

/// The same of the difference of two independent estimates, with the degrees of freedom of Welch (1947).
fn difference_half_interval(a: &Record, b: &Record) -> f64 {
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

/// How often the annealed estimate and the importance-weighted one of `term` agree, as [`Agreement`]
/// defines it; `None` where one of them was not measured, or has no weights of its own.
pub(crate) fn annealed_agreement(
    columns: &CellColumns<'_>,
    term: MeasuredQuantity,
) -> Option<Agreement> {
    let is_weighted = [FREE_FORM_IW, ADAPTIVE_IW].contains(&term);
    (is_weighted && columns.has(term) && columns.has(ANNEALED)).then(|| {
        let pairs = columns.rows(term).zip(columns.rows(ANNEALED));
        let trusted: Vec<(&Record, &Record)> = pairs
            .filter(|(weighted, _)| weighted.trust == Trust::Ok)
            .collect();
        let within = |margin: fn(&Record, &Record) -> f64| {
            let agree = |(weighted, annealed): &&(&Record, &Record)| {
                (weighted.value_nats - annealed.value_nats).abs() <= margin(weighted, annealed)
            };
            trusted.iter().filter(agree).count() as u64
        };
        Agreement {
            n: trusted.len() as u64,
            agree: within(difference_half_interval),
            overlap: within(|a, b| half_interval(a) + half_interval(b)),
        }
    })
}
