//! Solving with an estimated curvature.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// Added to the curvature where nothing else is known: a posterior is seldom 50 times wider than `q`.
const RIDGE: f64 = 0.02;

/// `(C + λI)⁻¹ g` by Cholesky's factorisation; none if that is not positive definite.
pub fn solve(
    curvature: &DMatrix<f64>,
    damping: f64,
    gradient: &DVector<f64>,
) -> Option<DVector<f64>> {
    Some(factor(curvature, damping)?.solve(gradient))
}

/// The least curvature in `log σ` that is believed: below it lies sampling noise.
const LEAST_CURVATURE: f64 = 0.2;

/// The curvature in `log σ` as far as it is believed.
pub const fn least_curvature(curvature: f64) -> f64 {
    curvature.max(LEAST_CURVATURE)
}

/// Newton steps `M g` for the mean, in `w`, and for `log σ`, with one factorisation for all of them.
///
/// `M` has the blocks `(C + λI)⁻¹` and `1 / (2 diag C)`; `λ = 0.02 + damping`, or the least of a few
/// larger ones that makes `C + λI` positive definite.
pub struct NewtonMetric<'a> {
    factor: Cholesky<f64, Dyn>,
    curvature: &'a DMatrix<f64>,
    damping: f64,
}

impl<'a> NewtonMetric<'a> {
    pub fn new(curvature: &'a DMatrix<f64>, damping: f64) -> Self {
        let mut ridge = RIDGE + damping;
        loop {
            if let Some(factor) = factor(curvature, ridge) {
                return Self {
                    factor,
                    curvature,
                    damping,
                };
            }
            // Ends: a ridge above the largest row sum makes any finite matrix positive definite.
            ridge = (3.0 * ridge).max(0.1);
        }
    }

    /// `M g` for the gradient in `w`.
    pub fn mean_step(&self, mean_gradient: &DVector<f64>) -> DVector<f64> {
        self.factor.solve(mean_gradient)
    }

    /// `M g` for the gradients in `w` and in `log σ`.
    pub fn step(
        &self,
        mean_gradient: &DVector<f64>,
        log_std_gradient: &DVector<f64>,
    ) -> (DVector<f64>, DVector<f64>) {
        let for_log_std = log_std_gradient.zip_map(&self.curvature.diagonal(), |g, h| {
            g / (2.0 * least_curvature(h) * (1.0 + self.damping))
        });
        (self.mean_step(mean_gradient), for_log_std)
    }
}

fn factor(curvature: &DMatrix<f64>, damping: f64) -> Option<Cholesky<f64, Dyn>> {
    let mut damped = curvature.clone();
    for i in 0..damped.nrows() {
        damped[(i, i)] += damping;
    }
    damped.cholesky()
}
