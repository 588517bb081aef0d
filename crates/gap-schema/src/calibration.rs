//! One row of `calibration.csv`: repeated estimates by one estimator on one datapoint whose `log p(x)` is
//! known.
//!
//! Each replicate has draws of its own, so the reported standard errors should equal the spread of the
//! estimates over replicates. A replicate's interval should hold the expectation of the estimator, which for a
//! bound is not `log p(x)`.

use crate::summary::nan_from_null;
use gap_spec::{Estimator, Side};
use serde::{Deserialize, Serialize};

/// The results of one estimator on one datapoint, over many replicates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationRow {
    /// The variant of the experiment; `None` without variants.
    pub variant: Option<String>,
    /// The seed of the repetition, which determines the model and the datapoint.
    pub seed: u64,
    /// The datapoint's number.
    pub datapoint: u64,
    /// Dimensions of `z`.
    pub latent_dim: u32,
    /// What was estimated.
    pub estimator: Estimator,
    /// On which side of `log p(x)` its expectation lies.
    pub side: Side,
    /// The number of draws (of chains, for an annealed estimate) in one replicate; the mean over replicates.
    pub n_samples: f64,
    /// The number of distributions on the path of an annealed estimate.
    pub n_temperatures: Option<u32>,
    /// The number of replicates.
    pub n_replicates: u64,
    /// Replicates with an estimate that is not finite; all other numbers leave them out, except `n_replicates`.
    pub non_finite: u64,
    /// Finite replicates whose standard error is marked as unreliable.
    pub untrusted: u64,
    /// The exact `log p(x)`, nats.
    pub exact_nats: f64,
    /// The exact expectation of the estimator, nats, if it has a closed form (an ELBO).
    pub target_nats: Option<f64>,
    /// The mean estimate, nats.
    #[serde(deserialize_with = "nan_from_null")]
    pub mean_nats: f64,
    /// The mean estimate minus `log p(x)`, nats; for a bound, this is its distance to `log p(x)`.
    #[serde(deserialize_with = "nan_from_null")]
    pub bias_nats: f64,
    /// The standard error of `mean_nats` and of `bias_nats`, nats.
    #[serde(deserialize_with = "nan_from_null")]
    pub bias_std_error_nats: f64,
    /// The standard deviation of the estimates over replicates, nats.
    #[serde(deserialize_with = "nan_from_null")]
    pub spread_nats: f64,
    /// The root mean square of the reported standard errors, nats.
    #[serde(deserialize_with = "nan_from_null")]
    pub std_error_nats: f64,
    /// The share of replicates whose 95% interval holds `target_nats`, or `mean_nats` if that is `None`.
    #[serde(deserialize_with = "nan_from_null")]
    pub coverage: f64,
    /// The same share among replicates that are not marked as unreliable; `None` if there are none.
    pub coverage_trusted: Option<f64>,
    /// Wall time of one replicate, seconds; the mean over replicates.
    pub seconds: f64,
    /// Evaluations of `log p(x, z)` or of its gradient in one replicate; the mean over replicates.
    pub joint_evaluations: f64,
}
