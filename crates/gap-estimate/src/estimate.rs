//! What an estimate is, and what an estimator of a fitted `q` must answer.

use gap_infer::InferError;
use gap_model::ModelError;
use std::fmt;

/// A number with its error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate, nats. Not finite where a log-weight was not.
    pub value_nats: f64,
    /// Its Monte Carlo standard error, nats; 0 for an exact value.
    pub std_error_nats: f64,
    /// Whether the standard error can be relied on.
    pub trust: Trust,
}

/// Whether a standard error can be relied on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trust {
    /// Nothing speaks against it.
    Ok,
    /// So few draws carry the weight that their spread says little of the error.
    FewEffectiveSamples {
        /// `(Σw)² / Σw²` (Kong 1992).
        effective: f64,
    },
    /// A log-weight was NaN or plus infinity.
    NonFinite,
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::FewEffectiveSamples { effective } => {
                write!(f, "few-effective-samples ({effective:.1})")
            }
            Self::NonFinite => f.write_str("non-finite"),
        }
    }
}

/// On which side of `log p(x)` an estimator's expectation lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Not above it.
    Lower,
    /// On it.
    Exact,
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

    /// On which side its expectation lies.
    fn side(&self) -> Side;

    /// A fresh accumulator for one datapoint.
    fn accumulator(&self) -> Box<dyn Accumulator>;
}
