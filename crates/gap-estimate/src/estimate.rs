//! What an estimate is, and what an estimator of a fitted `q` must answer.

use gap_infer::InferError;
use gap_model::ModelError;
use gap_spec::{Diagnostics, Estimator, Trust};

/// A number with its error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate, nats. Not finite where a log-weight was not.
    pub value_nats: f64,
    /// Its Monte Carlo standard error, nats; 0 for an exact value.
    pub std_error_nats: f64,
    /// Whether the standard error can be relied on.
    pub trust: Trust,
    /// How many draws (or chains) it was made from; 0 for an exact value.
    pub n_samples: u64,
    /// What else is known of it.
    pub diagnostics: Diagnostics,
}

impl Estimate {
    /// A number that is known.
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

/// An estimate could not be made. Bad numerics are not errors: see [`Trust`].
#[derive(Debug, thiserror::Error)]
pub enum EstimateError {
    /// The model refused.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Inference refused.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// Draws of the prior were to be weighed by a `q` whose density is known at its own draws alone.
    #[error("a family without a density cannot be mixed with the prior; set its share to 0")]
    NoDensity,
}

/// Takes one datapoint's log-weights `log p(x, z) − log q(z)`, one at a time.
///
/// It sees them in order and one by one, so its answer cannot depend on how they were chunked, and
/// its memory does not grow with their number.
pub trait Accumulator {
    /// Takes the next log-weight, nats.
    fn push(&mut self, log_weight: f64);

    /// The estimate from what was taken.
    fn finish(&self) -> Estimate;
}

/// An estimator of `log p(x)` from draws of a fitted `q`.
pub trait PosteriorEstimator {
    /// Draws per datapoint.
    fn n_samples(&self) -> u64;

    /// What it estimates; [`Estimator::side`] says on which side of `log p(x)` its expectation lies.
    fn estimator(&self) -> Estimator;

    /// A fresh accumulator for one datapoint.
    fn accumulator(&self) -> Box<dyn Accumulator>;
}
