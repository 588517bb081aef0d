//! What a summary says of an ascent: its cost until it stayed within tolerance of the optimum, and where it
//! ended.

use super::nan_from_null;
use gap_spec::Split;
use gap_spec::Start;
use serde::{Deserialize, Serialize};

/// The cost of an ascent until its mean distance to the optimum fell below
/// [`crate::trace::REACHED_TOLERANCE_NATS`] for good, interpolated between the recorded steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostToReachOptimum {
    /// Wall seconds for all `n` datapoints.
    pub seconds: f64,
    /// Joint gradients per datapoint.
    pub joint_gradients: f64,
}

/// Where an ascent ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AscentEnd {
    /// Wall seconds for all `n` datapoints.
    pub seconds: f64,
    /// Joint gradients per datapoint.
    pub joint_gradients: f64,
    /// Mean distance to the optimum that each datapoint's ascent leads to, nats.
    #[serde(deserialize_with = "nan_from_null")]
    pub nats_to_go: f64,
    /// Its standard error over datapoints, of paired differences.
    #[serde(deserialize_with = "nan_from_null")]
    pub std_error_nats: f64,
    /// The largest distance.
    #[serde(deserialize_with = "nan_from_null")]
    pub worst_nats: f64,
    /// Datapoints with more than [`crate::trace::REACHED_TOLERANCE_NATS`] to go.
    pub above_tolerance: u64,
    /// Datapoints that had not met the ascent's own stopping rule.
    pub unfinished: u64,
    /// Datapoints whose ascent leads to an optimum more than [`crate::trace::MIN_OTHER_OPTIMUM_NATS`] below the
    /// best known one.
    pub other_optimum: u64,
    /// How far these optima are below the best known ones, summed over datapoints and divided by `n`, nats.
    #[serde(deserialize_with = "nan_from_null")]
    pub other_optimum_nats: f64,
    /// Datapoints with values that are not finite; they are in no mean.
    pub non_finite: u64,
}

/// The results of one ascent of one seed from one start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AscentCell {
    /// The variant of the experiment; absent without variants.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub variant: Option<String>,
    /// The data set.
    pub dataset: String,
    /// The part of the data set.
    pub split: Split,
    /// The seed.
    pub seed: u64,
    /// The number of datapoints.
    pub n: u64,
    /// Dimensions of `z`.
    pub latent_dim: u32,
    /// The ascent's name in the spec.
    pub ascent: String,
    /// Its phases, each as step rule, noise, and draws per datapoint and step.
    pub phases: String,
    /// Where it started.
    pub start: Start,
    /// The cost until its mean distance to the optimum was below 0.01 nats for good; `null` if it never was.
    pub reached: Option<CostToReachOptimum>,
    /// Where it ended.
    pub end: AscentEnd,
    /// Joint gradients per datapoint that the longer search for a reference optimum took from the same start.
    pub reference_joint_gradients: f64,
}
