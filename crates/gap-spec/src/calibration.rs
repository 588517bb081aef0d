//! `[calibration]`: a check of the standard errors that estimators report.

use crate::number::Count;
use serde::{Deserialize, Serialize};

/// `[calibration]`: repeats each estimator many times on a datapoint whose `log p(x)` is known exactly, to
/// compare the spread of its estimates with the standard errors that it reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CalibrationSpec {
    /// The number of estimates of each datapoint, each from its own draws. With 1000, the measured coverage of
    /// 95% intervals has a standard error of 0.007.
    pub replicates: Count,
    /// The number of datapoints, which are drawn from the model.
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
