//! How far a `q` still is from the optimum of its family.

/// An estimated distance to the optimum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Remaining {
    /// The estimate of `L[q*] − L[q]`, nats. For a Gaussian family it is unbiased where `L` is quadratic, and
    /// noise can make it negative.
    pub nats: f64,
    /// Its standard error, from the scatter over sets of draws.
    pub std_error_nats: f64,
}

impl Remaining {
    /// Returns a bound that `L[q*] − L[q]` does not exceed for at least 95% of datapoints in a Gaussian
    /// family, and for about 90% in others. It is 1.5 times the estimate, since `L` is not quadratic, plus
    /// two standard errors and the accuracy of `f32`.
    pub fn upper_bound_nats(self) -> f64 {
        1.5 * self.nats + 2.0 * self.std_error_nats + 2e-4
    }
}
