//! Newton's method on fixed draws. The whole curvature in the mean is estimated from the scores (Stein).

use super::damped::{DampedStepDirection, DampedStepper};
use crate::ascent::curvature::solve_damped_newton_step;
use crate::ascent::evaluation::WhitenedGradient;
use nalgebra::DVector;

/// Steps in `log σ_i` raise the curvature estimate `C_ii` (see [`WhitenedGradient`]) to at least this.
const MIN_LOG_STD_CURVATURE: f64 = 0.05;
/// The largest step in any one `log σ`.
const MAX_LOG_STD_STEP: f64 = 1.0;

/// Steps at damping `λ`: `Δw = −(C + λI)⁻¹ σ ∂(−L)/∂μ` and `Δ log σ = −½ log diag C / (1 + λ)`, which
/// undamped would lead to the variance `σ² / diag C`.
pub enum NewtonSteinDirection {}

/// Newton steps with Stein estimates of the curvature, damped until they gain enough.
pub type NewtonSteinStepper = DampedStepper<NewtonSteinDirection>;

impl DampedStepDirection for NewtonSteinDirection {
    fn step_at_damping(
        gradient: &WhitenedGradient,
        damping: f64,
    ) -> Option<(DVector<f64>, DVector<f64>)> {
        let curvature = gradient.curvature();
        let for_mean = solve_damped_newton_step(curvature, damping, &gradient.mean)?;
        let for_log_std = curvature.diagonal().map(|h| {
            let whole = -0.5 * h.max(MIN_LOG_STD_CURVATURE).ln();
            (whole / (1.0 + damping)).clamp(-MAX_LOG_STD_STEP, MAX_LOG_STD_STEP)
        });
        Some((-for_mean, for_log_std))
    }
}
