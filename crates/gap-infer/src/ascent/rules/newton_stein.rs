//! Newton's method with the whole curvature of the mean from scores alone, on fixed draws.

use super::damped::{DampedStepDirection, DampedStepper};
use crate::ascent::curvature::solve_damped_newton_step;
use crate::ascent::evaluation::WhitenedGradient;
use nalgebra::DVector;

/// The least curvature that a step in `log σ` is divided by.
const MIN_LOG_STD_CURVATURE: f64 = 0.05;
/// The longest step in any one `log σ`.
const MAX_LOG_STD_STEP: f64 = 1.0;

/// `Δw = −(C + λI)⁻¹ σ ∂(−L)/∂μ`, and `Δ log σ` towards the fixed point `σ² = σ² / diag C`.
pub enum NewtonSteinDirection {}

/// Newton steps with Stein estimates of the curvature, damped as far as they do not gain.
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
