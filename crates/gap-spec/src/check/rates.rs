//! Checks learning rates.

use super::{SpecConflict, refuse};
use crate::number::Positive;

/// The largest learning rate. A step of Adam changes a parameter by about the rate, whatever the gradient, and
/// with a `log σ` of 100 a standard deviation is beyond what 32 bits hold.
const MAX_LEARNING_RATE: f64 = 100.0;

/// Checks the learning rate of Adam at `key`.
pub(super) fn check_learning_rate(key: &str, rate: Positive) -> Result<(), SpecConflict> {
    let rate = rate.get();
    if rate <= MAX_LEARNING_RATE {
        return Ok(());
    }
    refuse(
        key,
        format!(
            "is {rate:e}, and Adam changes every parameter by about that much in its first step; use at most {MAX_LEARNING_RATE}, as in 0.001"
        ),
    )
}
