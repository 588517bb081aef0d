//! Scales that are learned along with the decoder, one for each observed dimension, and stay above a floor.

use tch::{Device, Kind, Tensor};

/// Scales `log scale_j = m + softplus(ρ_j − m)`, where `m` is the logarithm of the floor and `ρ` is learned.
///
/// Each observed dimension has its own scale, because the corners of an image are nearly constant and its
/// centre is not: a common scale would be too large for the corners and too small for the centre. The floor
/// is needed because the likelihood of a constant dimension grows without bound as its scale goes to 0. A
/// scale approaches the floor smoothly, so that it still has a gradient near it (the soft clipping of Chua et
/// al. 2018, "Deep Reinforcement Learning in a Handful of Trials using Probabilistic Dynamics Models",
/// appendix, on one side).
#[derive(Debug)]
pub struct LearnedScale {
    /// The raw parameters `ρ`, `[X]`.
    pub(super) raw: Tensor,
    log_floor: f64,
}

impl LearnedScale {
    /// Scales of `observed_dim` dimensions, all `initial` before anything is learned.
    ///
    /// # Panics
    ///
    /// Unless `0 < floor < initial < ∞`.
    pub fn new(observed_dim: i64, initial: f64, floor: f64, device: Device) -> Self {
        let ordered = 0.0 < floor && floor < initial && initial.is_finite();
        assert!(ordered, "a scale begins above its floor, which is positive");
        // The inverse of the softplus: log(e^y − 1) = y + log(1 − e^−y).
        let above = (initial / floor).ln();
        let raw = floor.ln() + above + (-(-above).exp_m1()).ln();
        let options = (Kind::Float, device);
        Self::from_raw(Tensor::full([observed_dim], raw, options), floor)
    }

    /// Scales with the raw parameters `ρ`, `[X]`, that stay above `floor`.
    pub fn from_raw(raw: Tensor, floor: f64) -> Self {
        Self {
            raw,
            log_floor: floor.ln(),
        }
    }

    /// The scales' logarithms: `[X]`.
    pub fn log_scale(&self) -> Tensor {
        (&self.raw - self.log_floor).softplus() + self.log_floor
    }

    /// The gradient with respect to `ρ`, given the gradient with respect to the scales' logarithms:
    /// `[X] -> [X]`.
    pub(super) fn pull_back(&self, in_log_scale: &Tensor) -> Tensor {
        in_log_scale * (&self.raw - self.log_floor).sigmoid()
    }
}

/// A clone shares the learned parameters.
impl Clone for LearnedScale {
    fn clone(&self) -> Self {
        Self {
            raw: self.raw.shallow_clone(),
            log_floor: self.log_floor,
        }
    }
}

/// The standard deviation of the error of rounding to `n_levels` equally spaced levels of `[0, 1]`. It is a
/// sensible floor, since rounded data have no finer detail.
///
/// ```
/// let grey_values = gap_model::likelihood::rounding_error_std(256);
/// assert!((grey_values - 1.0 / (255.0 * 12.0_f64.sqrt())).abs() < 1e-15);
/// ```
///
/// # Panics
///
/// If there are fewer than two levels.
pub fn rounding_error_std(n_levels: i64) -> f64 {
    assert!(n_levels > 1, "levels are apart");
    // The error is uniform over an interval as wide as the distance between two levels.
    1.0 / ((n_levels - 1) as f64 * 12.0_f64.sqrt())
}
