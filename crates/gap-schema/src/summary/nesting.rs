//! What a summary says of families that contain each other.

use super::{Mean, nan_from_null};
use gap_spec::{Family, Split};
use serde::{Deserialize, Serialize};

/// A larger family is not to end below a smaller one by more than this, nats.
pub const NESTING_TOLERANCE_NATS: f64 = 0.02;

/// Two families on the same frozen model and the same datapoints, one of which contains the other.
///
/// The best `q` of the larger family is then no worse than that of the smaller one, at every datapoint:
/// `L[q*]` may only rise. Where it falls, the search in the larger family failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NestedFamilyComparison {
    /// The data set.
    pub dataset: String,
    /// The part of it.
    pub split: Split,
    /// The seed.
    pub seed: u64,
    /// The frozen model.
    pub model: String,
    /// The family that is contained, and the variant that measured it.
    pub smaller: Family,
    /// See `smaller`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub smaller_variant: Option<String>,
    /// The family that contains it, and the variant that measured it.
    pub larger: Family,
    /// See `larger`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub larger_variant: Option<String>,
    /// Datapoints with finite values of both.
    pub n: u64,
    /// `L[q*]` of the larger family minus that of the smaller one, paired.
    pub gain: Mean,
    /// Datapoints where the larger family ended below the smaller one by more than [`NESTING_TOLERANCE_NATS`]
    /// and two standard errors of the difference.
    pub violations: u64,
    /// The lowest difference of a datapoint, its Monte Carlo error included.
    #[serde(deserialize_with = "nan_from_null")]
    pub lowest_nats: f64,
}
