//! What a summary says of an ascent: when it arrived, and where it ended.

use super::nan_from_null;
use gap_spec::Split;
use gap_spec::Start;
use serde::{Deserialize, Serialize};

/// What an ascent had cost when its mean distance to the optimum fell below
/// [`crate::trace::REACHED_TOLERANCE_NATS`] for good.
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
    /// Mean distance below the optimum that each datapoint's ascent led to, nats.
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
    /// Datapoints that ended near an optimum that is worse than the best one known.
    pub other_optimum: u64,
    /// What these fall short of the best, summed over them and divided by `n`, nats.
    #[serde(deserialize_with = "nan_from_null")]
    pub other_optimum_nats: f64,
    /// Datapoints whose ascent stopped being finite.
    pub non_finite: u64,
}

/// One ascent of one seed from one start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AscentCell {
    /// The variant of the experiment, where it has several.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub variant: Option<String>,
    /// The data set.
    pub dataset: String,
    /// The part of it.
    pub split: Split,
    /// The seed.
    pub seed: u64,
    /// How many datapoints ascended.
    pub n: u64,
    /// Dimensions of `z`.
    pub latent_dim: u32,
    /// The ascent's name in the spec.
    pub ascent: String,
    /// Its phases: step rule, noise, draws per datapoint and step.
    pub phases: String,
    /// Where it started.
    pub start: Start,
    /// When its mean distance to the optimum was below 0.01 nats for good; `null` if it never was.
    pub reached: Option<CostToReachOptimum>,
    /// Where it ended.
    pub end: AscentEnd,
    /// Joint gradients per datapoint of the longer run that the optimum is known from.
    pub reference_joint_gradients: f64,
}
