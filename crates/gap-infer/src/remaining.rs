//! How far a `q` still is from the optimum of its family.

/// An estimated distance to the optimum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Remaining {
    /// `L[q*] − L[q]`, estimated, nats. Unbiased for the quadratic, so it may fall below zero.
    pub nats: f64,
    /// Its standard error, by the jackknife over sets of draws.
    pub std_error_nats: f64,
}

impl Remaining {
    /// What `L[q*] − L[q]` is below, for at least 95% of points: half as much again as the
    /// estimate, for what is not quadratic, two standard errors, and the accuracy of `f32`.
    pub fn upper_bound_nats(self) -> f64 {
        1.5 * self.nats + 2.0 * self.std_error_nats + 2e-4
    }
}
