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

/// What an estimator says of its estimate, and what that cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Diagnostics {
    /// `(Σw)² / Σw²` of its weights (Kong 1992).
    pub effective_samples: Option<f64>,
    /// The shape `k̂` of the weights' tail (Vehtari et al. 2024).
    pub pareto_k: Option<f64>,
    /// The mean acceptance of its transitions.
    pub acceptance: Option<f64>,
    /// The step size of its transitions, in units of the start's standard deviations.
    pub step_size: Option<f64>,
    /// This datapoint's share of the wall time, seconds; where several estimators take the same draws,
    /// that of all of them.
    pub seconds: f64,
    /// Evaluations of the joint or of its gradient.
    pub joint_evaluations: u64,
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
    /// The weights' tail is so heavy that their mean converges too slowly for its error to be known.
    HeavyTail {
        /// Its shape.
        pareto_k: f64,
    },
    /// So few proposals were accepted that the chains may not have moved along the path.
    LowAcceptance {
        /// The mean acceptance.
        rate: f64,
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
            Self::HeavyTail { pareto_k } => write!(f, "heavy-tail ({pareto_k:.2})"),
            Self::LowAcceptance { rate } => write!(f, "low-acceptance ({rate:.2})"),
            Self::NonFinite => f.write_str("non-finite"),
        }
    }
}

/// On which side of `log p(x)` an estimator's expectation lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Not above it.
    Lower,
    /// Not below it.
    Upper,
    /// On it.
    Exact,
    /// On neither side for certain.
    Neither,
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

    /// On which side its expectation lies.
    fn side(&self) -> Side;

    /// A fresh accumulator for one datapoint.
    fn accumulator(&self) -> Box<dyn Accumulator>;
}
