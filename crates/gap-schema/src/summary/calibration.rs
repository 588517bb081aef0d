//! What a summary says of the check of an estimator's standard errors.

use super::nan_from_null;
use crate::calibration::CalibrationRow;
use serde::{Deserialize, Serialize};

/// The results of one estimator on one datapoint over many replicates, and what follows from them.
///
/// `null` stands for a number that is not defined, such as a ratio to a spread of zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EstimatorCalibration {
    /// The measured row.
    #[serde(flatten)]
    pub row: CalibrationRow,
    /// The lower end of the 95% interval of Wilson (1927) for `coverage`, from the number of finite replicates.
    /// The interval stays inside \[0, 1\], and its width is not zero even if all replicates hold their target.
    #[serde(deserialize_with = "nan_from_null")]
    pub coverage_low: f64,
    /// The upper end of that interval.
    #[serde(deserialize_with = "nan_from_null")]
    pub coverage_high: f64,
    /// `std_error_nats / spread_nats`: 1 if the reported standard errors are right, below 1 if they are too
    /// small.
    #[serde(deserialize_with = "nan_from_null")]
    pub std_error_ratio: f64,
    /// The standard error of that ratio: the ratio divided by `√(2 (n − 1))`, for `n` finite replicates whose
    /// estimates are normal.
    #[serde(deserialize_with = "nan_from_null")]
    pub std_error_ratio_std_error: f64,
    /// The mean estimate minus `target_nats`, nats, if that is known; its standard error is
    /// `bias_std_error_nats`.
    pub minus_target_nats: Option<f64>,
    /// Whether the bias agrees with the estimator's `side`, up to three of its standard errors; `null` if
    /// `side` is `neither` or the bias is not known.
    pub side_holds: Option<bool>,
}
