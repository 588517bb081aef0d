//! Newton's method with the whole curvature of the mean from scores alone, on fixed draws.

use super::damped::{Damped, Direction};
use crate::ascent::curvature::solve;
use crate::ascent::evaluation::WhitenedGradient;
use nalgebra::DVector;

/// The least curvature that a step in `log σ` is divided by.
const LEAST_CURVATURE: f64 = 0.05;
/// The longest step in any one `log σ`.
const LONGEST_LOG_STEP: f64 = 1.0;

/// `Δw = −(C + λI)⁻¹ σ ∂(−L)/∂μ`, and `Δ log σ` towards the fixed point `σ² = σ² / diag C`.
pub enum NewtonStein {}

/// The rule.
pub type Rule = Damped<NewtonStein>;

impl Direction for NewtonStein {
    fn step(gradient: &WhitenedGradient, damping: f64) -> Option<(DVector<f64>, DVector<f64>)> {
        let curvature = gradient.curvature();
        let for_mean = solve(curvature, damping, &gradient.mean)?;
        let for_log_std = curvature.diagonal().map(|h| {
            let whole = -0.5 * h.max(LEAST_CURVATURE).ln();
            (whole / (1.0 + damping)).clamp(-LONGEST_LOG_STEP, LONGEST_LOG_STEP)
        });
        Some((-for_mean, for_log_std))
    }
}
