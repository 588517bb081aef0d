//! A scale for each observed dimension that is learned with the decoder, and does not fall below a floor.

use tch::{Device, Kind, Tensor};

/// `log scale_j = m + softplus(ρ_j − m)`, with `m` the logarithm of the floor and `ρ` what is learned.
///
/// One for each observed dimension, not one in common: of images the corners are all but constant and
/// the centre is not, so that a scale in common would say too much of the one and too little of the
/// other. The floor is needed for the same reason: the likelihood of a constant dimension has no
/// upper bound as its scale goes to 0. It is approached smoothly, so that a dimension that is near it
/// still has a gradient (the soft clipping of Chua et al. 2018, "Deep Reinforcement Learning in a
/// Handful of Trials using Probabilistic Dynamics Models", appendix, on one side).
#[derive(Debug)]
pub struct LearnedScale {
    /// `ρ`, `[X]`.
    pub(super) raw: Tensor,
    log_floor: f64,
}

impl LearnedScale {
    /// Scales of `observed_dim` dimensions that are `initial` until something is learned.
    ///
    /// # Panics
    ///
    /// If not `0 < floor < initial < ∞`.
    pub fn new(observed_dim: i64, initial: f64, floor: f64, device: Device) -> Self {
        let ordered = 0.0 < floor && floor < initial && initial.is_finite();
        assert!(ordered, "a scale begins above its floor, which is positive");
        // The inverse of the softplus: log(e^y − 1) = y + log(1 − e^−y).
        let above = (initial / floor).ln();
        let raw = floor.ln() + above + (-(-above).exp_m1()).ln();
        let options = (Kind::Float, device);
        Self::from_raw(Tensor::full([observed_dim], raw, options), floor)
    }

    /// From what is learned, `ρ [X]`.
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

    /// The gradient in `ρ`, from that in the scales' logarithms: `[X] -> [X]`.
    pub(super) fn pull_back(&self, in_log_scale: &Tensor) -> Tensor {
        in_log_scale * (&self.raw - self.log_floor).sigmoid()
    }
}

/// A clone shares what is learned.
impl Clone for LearnedScale {
    fn clone(&self) -> Self {
        Self {
            raw: self.raw.shallow_clone(),
            log_floor: self.log_floor,
        }
    }
}

/// The standard deviation of what rounding to `n_levels` equally spaced levels of `[0, 1]` leaves: a
/// sensible floor, since data that was rounded says nothing finer.
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
    // Of a uniform distribution as wide as the distance between two levels.
    1.0 / ((n_levels - 1) as f64 * 12.0_f64.sqrt())
}
