//! Newton steps from an estimated curvature.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// [`NewtonPreconditioner`] always adds this to the curvature in whitened coordinates. Where the curvature
/// itself is lower, the posterior's variance would be more than 50 times that of `q`, which is rare.
const CURVATURE_RIDGE: f64 = 0.02;

/// Returns `(C + λI)⁻¹ g` by Cholesky's factorisation, where `λ` is `damping`; `None` if `C + λI` is not
/// positive definite.
pub fn solve_damped_newton_step(
    curvature: &DMatrix<f64>,
    damping: f64,
    gradient: &DVector<f64>,
) -> Option<DVector<f64>> {
    Some(cholesky_of_damped(curvature, damping)?.solve(gradient))
}

/// The estimate `C_ii` of half the curvature in `log σ_i` is raised to at least this: lower estimates are
/// sampling noise.
const MIN_LOG_STD_CURVATURE: f64 = 0.2;

/// Returns half the curvature in `log σ_i`: its estimate `C_ii`, raised to at least 0.2 against sampling noise.
pub const fn clamp_log_std_curvature(curvature: f64) -> f64 {
    curvature.max(MIN_LOG_STD_CURVATURE)
}

/// Newton steps `M g` for the mean, in whitened coordinates `w`, and for `log σ`, from one factorisation.
///
/// `M` has the blocks `(C + λI)⁻¹` and `1 / (2 (1 + damping) diag C)`, the latter with `C_ii` of at least 0.2.
/// `λ` is `0.02 + damping`, raised if necessary until `C + λI` is positive definite.
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
            // Terminates: a ridge above the largest absolute row sum makes a finite matrix positive definite.
            ridge = (3.0 * ridge).max(0.1);
        }
    }

    /// Returns the step `M g` for the mean, in `w`, from its gradient.
    pub fn newton_mean_step(&self, mean_gradient: &DVector<f64>) -> DVector<f64> {
        self.factor.solve(mean_gradient)
    }

    /// Returns the steps `M g` for the mean, in `w`, and for `log σ`, from their gradients.
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

/// The factor, at most 1, that limits every component of `step` to `longest` in absolute value.
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
