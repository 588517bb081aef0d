//! Newton's method on fixed draws. The whole curvature in the mean is estimated from the scores (Stein).

use super::blocks::curvature_entry_error;
use super::damped::{DampedStepDirection, DampedStepper};
use crate::ascent::curvature::{log_std_distance_per_gradient, solve_damped_newton_step};
use crate::ascent::evaluation::WhitenedGradient;
use nalgebra::{DMatrix, DVector};

/// Steps in `log σ_i` raise the curvature estimate `C_ii` (see [`WhitenedGradient`]) to at least this.
const MIN_LOG_STD_CURVATURE: f64 = 0.05;
/// A curvature that is not positive definite is damped until it is, up to this. Beyond it, in narrow bent valleys,
/// such steps would be too short, and the absolute values of its eigenvalues are used.
const MAX_CONVEXIFYING_DAMPING: f64 = 30.0;
/// The largest step in any one `log σ`.
const MAX_LOG_STD_STEP: f64 = 1.0;

/// Steps at damping `λ`: `Δw = −(C + λI)⁻¹ σ ∂(−L)/∂μ` and `Δ log σ = −½ log diag C / (1 + λ)`, which
/// undamped would lead to the variance `σ² / diag C`.
pub enum NewtonSteinDirection {}

/// Returns `(|C| + λI)⁻¹ g`, where `|C|` has the absolute values of the eigenvalues of `C`: a step that descends
/// along directions of negative curvature too, at the pace of their curvature (Dauphin et al. 2014, §4).
fn solve_with_absolute_eigenvalues(
    curvature: &DMatrix<f64>,
    damping: f64,
    gradient: &DVector<f64>,
) -> DVector<f64> {
    let eigen = curvature.clone().symmetric_eigen();
    let turned = eigen.eigenvectors.tr_mul(gradient);
    let scaled = turned.zip_map(&eigen.eigenvalues, |g, h| g / (h.abs() + damping));
    eigen.eigenvectors * scaled
}

/// Newton steps with Stein estimates of the curvature, damped until they gain enough.
pub type NewtonSteinStepper = DampedStepper<NewtonSteinDirection>;

impl DampedStepDirection for NewtonSteinDirection {
    fn step_at_damping(
        gradient: &WhitenedGradient,
        damping: f64,
    ) -> Option<(DVector<f64>, DVector<f64>)> {
        let curvature = gradient.curvature();
        let for_mean = match solve_damped_newton_step(curvature, damping, &gradient.mean) {
            Some(step) => step,
            None if damping < MAX_CONVEXIFYING_DAMPING => return None,
            None => solve_with_absolute_eigenvalues(curvature, damping, &gradient.mean),
        };
        let for_log_std = curvature.diagonal().map(|h| {
            let whole = -0.5 * h.max(MIN_LOG_STD_CURVATURE).ln();
            (whole / (1.0 + damping)).clamp(-MAX_LOG_STD_STEP, MAX_LOG_STD_STEP)
        });
        Some((-for_mean, for_log_std))
    }

    fn undamped_gain_nats(gradient: &WhitenedGradient) -> Option<f64> {
        let error = curvature_entry_error(gradient);
        let curvature = gradient.curvature();
        let ridge = error * (curvature.nrows() as f64).sqrt();
        let ridge = ridge.max(1e-8);
        let step = solve_damped_newton_step(curvature, ridge, &gradient.mean)
            .unwrap_or_else(|| solve_with_absolute_eigenvalues(curvature, ridge, &gradient.mean));
        let for_log_std = gradient.log_std.iter().map(|g| {
            let h = g + 1.0;
            0.5 * g * g * log_std_distance_per_gradient(h.max(MIN_LOG_STD_CURVATURE))
        });
        Some(0.5 * step.dot(&gradient.mean) + for_log_std.sum::<f64>())
    }
}
