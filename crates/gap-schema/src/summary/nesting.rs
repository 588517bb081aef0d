//! What a summary says of variational families of which one contains the other.

use super::{Mean, nan_from_null};
use gap_spec::{Family, Split};
use serde::{Deserialize, Serialize};

/// A larger family that ends below a smaller one by no more than this, nats, is not counted as a violation.
pub const NESTING_TOLERANCE_NATS: f64 = 0.02;

/// Two families on the same frozen model and the same datapoints, one of which contains the other.
///
/// At every datapoint the best `q` of the larger family is at least as good as that of the smaller one. If
/// `L[q*]` is lower nevertheless, the search in the larger family failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NestedFamilyComparison {
    /// The data set.
    pub dataset: String,
    /// The part of the data set.
    pub split: Split,
    /// The seed.
    pub seed: u64,
    /// The frozen model.
    pub model: String,
    /// The family that is contained in the other.
    pub smaller: Family,
    /// The variant of the experiment in which the smaller family was measured; `None` without variants.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub smaller_variant: Option<String>,
    /// The family that contains the other.
    pub larger: Family,
    /// The variant of the experiment in which the larger family was measured; `None` without variants.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub larger_variant: Option<String>,
    /// Datapoints with finite values for both families.
    pub n: u64,
    /// `L[q*]` of the larger family minus that of the smaller one, paired.
    pub gain: Mean,
    /// Datapoints where the larger family ended below the smaller one by more than the sum of
    /// [`NESTING_TOLERANCE_NATS`] and two standard errors of the difference.
    pub violations: u64,
    /// The lowest difference at any datapoint, nats, including its Monte Carlo error.
    #[serde(deserialize_with = "nan_from_null")]
    pub lowest_nats: f64,
}
