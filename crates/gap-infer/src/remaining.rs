//! How far a `q` still is from the optimum of its family.

use tch::Kind;

/// An estimated distance to the optimum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Remaining {
    /// The estimate of `L[q*] − L[q]`, nats. For a Gaussian family it is unbiased where `L` is quadratic, and
    /// noise can make it negative.
    pub nats: f64,
    /// Its standard error, from the scatter over sets of draws.
    pub std_error_nats: f64,
    /// The estimate plus two standard errors if the curvature of `L` is as low in every direction as its own
    /// error allows, nats. In families whose curvature is not estimated, the bound by the ends of independent
    /// ascents.
    pub least_curvature_bound_nats: f64,
    /// The accuracy of the numbers that it was computed from, nats: see [`resolution_nats`].
    pub resolution_nats: f64,
}

/// What rounding leaves unknown of a distance to the optimum, nats, in evaluations by numbers of this kind.
pub const fn resolution_nats(kind: Kind) -> f64 {
    match kind {
        Kind::Double => 1e-9,
        _ => 2e-4,
    }
}

impl Remaining {
    /// The distance at parameters where the gradient is not finite.
    pub const UNKNOWN: Self = Self {
        nats: f64::NAN,
        std_error_nats: f64::NAN,
        least_curvature_bound_nats: f64::NAN,
        resolution_nats: f64::NAN,
    };

    /// Returns a bound that `L[q*] − L[q]` does not exceed for at least 95% of datapoints. It is 1.5 times the
    /// estimate, since `L` is not quadratic, plus two standard errors, or [`Self::least_curvature_bound_nats`]
    /// if that is higher; plus the accuracy of the numbers.
    pub fn upper_bound_nats(self) -> f64 {
        let by_estimate = 1.5 * self.nats + 2.0 * self.std_error_nats;
        // NaN if any part is NaN.
        let bound = if self.least_curvature_bound_nats > by_estimate {
            self.least_curvature_bound_nats
        } else {
            by_estimate
        };
        bound + self.resolution_nats
    }
}
