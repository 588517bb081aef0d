//! The type of an estimate, and the traits of estimators from draws of a fitted `q`.

use gap_infer::InferError;
use gap_model::ModelError;
use gap_spec::{Diagnostics, Estimator, Trust};

/// An estimated or exact number, with its error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate, nats. It may be non-finite if a log-weight was.
    pub value_nats: f64,
    /// Its Monte Carlo standard error, nats; 0 for an exact value.
    pub std_error_nats: f64,
    /// Whether the standard error can be relied on.
    pub trust: Trust,
    /// The number of draws (or chains) it was made from; 0 for an exact value.
    pub n_samples: u64,
    /// Further quantities that the estimator reports.
    pub diagnostics: Diagnostics,
}

impl Estimate {
    /// Creates the estimate of a number that is known exactly.
    pub fn exact(value_nats: f64) -> Self {
        let trust = if value_nats.is_finite() {
            Trust::Ok
        } else {
            Trust::NonFinite
        };
        Self {
            value_nats,
            std_error_nats: 0.0,
            trust,
            n_samples: 0,
            diagnostics: Diagnostics::default(),
        }
    }
}

/// Why an estimate could not be made. Non-finite numbers are no errors: see [`Trust`].
#[derive(Debug, thiserror::Error)]
pub enum EstimateError {
    /// The model returned an error.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Inference returned an error.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// Weights of draws from the prior need the density of `q` there, which the family has only at its own
    /// draws.
    #[error("a family without a density cannot be mixed with the prior; set its share to 0")]
    NoDensity,
}

/// Takes one datapoint's log-weights `log p(x, z) − log q(z)`, one at a time.
///
/// It sees them in order and one by one, so the estimate cannot depend on how they were chunked, and they
/// need not be stored.
pub trait Accumulator {
    /// Takes the next log-weight, nats.
    fn push(&mut self, log_weight: f64);

    /// Returns the estimate from the log-weights so far.
    fn finish(&self) -> Estimate;
}

/// An estimator of `log p(x)` from draws of a fitted `q`.
pub trait PosteriorEstimator {
    /// Draws per datapoint.
    fn n_samples(&self) -> u64;

    /// Its name; [`Estimator::side`] says on which side of `log p(x)` its expectation lies.
    fn estimator(&self) -> Estimator;

    /// Creates an empty accumulator for one datapoint.
    fn accumulator(&self) -> Box<dyn Accumulator>;
}
