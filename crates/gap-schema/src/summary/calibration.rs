//! What a summary says of an estimator that was held to a known value.

use super::nan_from_null;
use crate::calibration::CalibrationRow;
use serde::{Deserialize, Serialize};

/// An estimator on one datapoint over many replicates, and what follows from them.
///
/// `null` stands for a number that is not defined: a ratio to a spread of none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EstimatorCalibration {
    /// What was measured.
    #[serde(flatten)]
    pub row: CalibrationRow,
    /// The ends of the 95% interval of Wilson (1927) for `coverage`, from the number of finite
    /// replicates. The interval stays inside \[0, 1\], and has a width where every replicate held.
    #[serde(deserialize_with = "nan_from_null")]
    pub coverage_low: f64,
    /// Its upper end.
    #[serde(deserialize_with = "nan_from_null")]
    pub coverage_high: f64,
    /// `std_error_nats / spread_nats`: 1 where the reported errors are true, below 1 where they are
    /// too small.
    #[serde(deserialize_with = "nan_from_null")]
    pub std_error_ratio: f64,
    /// Its standard error from that of the spread, which is `1 / √(2 (n − 1))` of it for `n` finite
    /// replicates if these are normal.
    #[serde(deserialize_with = "nan_from_null")]
    pub std_error_ratio_std_error: f64,
    /// The mean estimate minus `target_nats`, nats, where that is known; its standard error is
    /// `bias_std_error_nats`.
    pub minus_target_nats: Option<f64>,
    /// Whether the estimator is on the side that it says, up to three standard errors of its bias; `null`
    /// where it says none or the bias is not known.
    pub side_holds: Option<bool>,
}
