//! Solving with an estimated curvature.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// Added to the curvature where nothing else is known: a posterior is seldom 50 times wider than `q`.
const CURVATURE_RIDGE: f64 = 0.02;

/// `(C + λI)⁻¹ g` by Cholesky's factorisation; none if that is not positive definite.
pub fn solve_damped_newton_step(
    curvature: &DMatrix<f64>,
    damping: f64,
    gradient: &DVector<f64>,
) -> Option<DVector<f64>> {
    Some(cholesky_of_damped(curvature, damping)?.solve(gradient))
}

/// The least curvature in `log σ` that is believed: below it lies sampling noise.
const MIN_LOG_STD_CURVATURE: f64 = 0.2;

/// The curvature in `log σ` as far as it is believed.
pub const fn clamp_log_std_curvature(curvature: f64) -> f64 {
    curvature.max(MIN_LOG_STD_CURVATURE)
}

/// Newton steps `M g` for the mean, in `w`, and for `log σ`, with one factorisation for all of them.
///
/// `M` has the blocks `(C + λI)⁻¹` and `1 / (2 diag C)`; `λ = 0.02 + damping`, or the least of a few
/// larger ones that makes `C + λI` positive definite.
pub struct NewtonPreconditioner<'a> {
    factor: Cholesky<f64, Dyn>,
    curvature: &'a DMatrix<f64>,
    damping: f64,
}

impl<'a> NewtonPreconditioner<'a> {
    pub fn new(curvature: &'a DMatrix<f64>, damping: f64) -> Self {
        let mut ridge = CURVATURE_RIDGE + damping;
        loop {
            if let Some(factor) = cholesky_of_damped(curvature, ridge) {
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
    pub fn newton_mean_step(&self, mean_gradient: &DVector<f64>) -> DVector<f64> {
        self.factor.solve(mean_gradient)
    }

    /// `M g` for the gradients in `w` and in `log σ`.
    pub fn newton_mean_and_log_std_steps(
        &self,
        mean_gradient: &DVector<f64>,
        log_std_gradient: &DVector<f64>,
    ) -> (DVector<f64>, DVector<f64>) {
        let for_log_std = log_std_gradient.zip_map(&self.curvature.diagonal(), |g, h| {
            g / (2.0 * clamp_log_std_curvature(h) * (1.0 + self.damping))
        });
        (self.newton_mean_step(mean_gradient), for_log_std)
    }
}

/// What a step is multiplied by so that no part of it is longer than `longest`: 1 where none is.
pub fn shrink_factor(step: &DVector<f64>, longest: f64) -> f64 {
    (longest / step.amax()).min(1.0)
}

fn cholesky_of_damped(curvature: &DMatrix<f64>, damping: f64) -> Option<Cholesky<f64, Dyn>> {
    let mut damped = curvature.clone();
    for i in 0..damped.nrows() {
        damped[(i, i)] += damping;
    }
    damped.cholesky()
}
