//! `[calibration]`: whether an estimator's standard errors are what they say.

use crate::number::Count;
use serde::{Deserialize, Serialize};

/// `[calibration]`: each estimator many times over on a datapoint whose evidence is known exactly, so that
/// the spread of its estimates can be held against the errors that it reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CalibrationSpec {
    /// Estimates of each datapoint, each from draws of its own. With 1000 the share of intervals that
    /// hold their target is known to 0.007.
    pub replicates: Count,
    /// Datapoints, drawn from the model.
    pub points: Count,
}

impl Default for CalibrationSpec {
    fn default() -> Self {
        Self {
            replicates: Count::new(1000),
            points: Count::new(1),
        }
    }
}
