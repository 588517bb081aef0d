//! One row of `calibration.csv`: an estimator on one datapoint whose evidence is known, many times over.
//!
//! Each replicate has draws of its own. The spread of the estimates over replicates is what their
//! standard errors should say; an interval should hold the estimator's own mean, which for a bound is
//! not the evidence.

use crate::summary::nan_from_null;
use gap_spec::{Estimator, Side};
use serde::{Deserialize, Serialize};

/// An estimator on one datapoint, over many replicates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationRow {
    /// The variant of the experiment, where it has several.
    pub variant: Option<String>,
    /// The seed of the repetition: model and datapoint.
    pub seed: u64,
    /// The datapoint's number.
    pub datapoint: u64,
    /// Dimensions of `z`.
    pub latent_dim: u32,
    /// What was estimated.
    pub estimator: Estimator,
    /// On which side of `log p(x)` its expectation lies.
    pub side: Side,
    /// Draws of a replicate (chains of an annealed one), the mean over replicates.
    pub n_samples: f64,
    /// Distributions on its path, for an annealed one.
    pub n_temperatures: Option<u32>,
    /// Replicates.
    pub n_replicates: u64,
    /// Replicates with an estimate that is not finite; they are in no other number.
    pub non_finite: u64,
    /// Replicates whose standard error is marked as unreliable.
    pub untrusted: u64,
    /// `log p(x)`, exact, nats.
    pub exact_nats: f64,
    /// The exact value of what the estimator's expectation is, where it has a closed form (an ELBO),
    /// nats.
    pub target_nats: Option<f64>,
    /// The mean estimate, nats.
    #[serde(deserialize_with = "nan_from_null")]
    pub mean_nats: f64,
    /// The mean estimate minus `log p(x)`, nats: what the bound misses.
    #[serde(deserialize_with = "nan_from_null")]
    pub bias_nats: f64,
    /// The standard error of the two, nats.
    #[serde(deserialize_with = "nan_from_null")]
    pub bias_std_error_nats: f64,
    /// The standard deviation of the estimates over replicates, nats.
    #[serde(deserialize_with = "nan_from_null")]
    pub spread_nats: f64,
    /// The root mean square of the standard errors that were reported, nats.
    #[serde(deserialize_with = "nan_from_null")]
    pub std_error_nats: f64,
    /// The part of replicates whose 95% interval holds the estimator's own mean.
    #[serde(deserialize_with = "nan_from_null")]
    pub coverage: f64,
    /// The same over replicates that are not marked as unreliable; `None` without any.
    pub coverage_trusted: Option<f64>,
    /// Wall time of a replicate, seconds.
    pub seconds: f64,
    /// Evaluations of the joint or of its gradient in a replicate.
    pub joint_evaluations: f64,
}
