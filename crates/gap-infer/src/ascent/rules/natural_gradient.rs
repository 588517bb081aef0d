//! Steps along the natural gradient of a Gaussian, shortened until they gain enough of what they predict.

use super::damped::{DampedStepDirection, DampedStepper};
use crate::ascent::evaluation::WhitenedGradient;
use nalgebra::DVector;

/// Steps raise the curvature estimate `C_ii` (see [`WhitenedGradient`]) to at least this.
const MIN_CURVATURE: f64 = 0.05;

/// Natural-gradient steps of size `ρ = 1 / (1 + λ)` at damping `λ`: the precision becomes
/// `σ'⁻² = (1 − ρ) σ⁻² + ρ σ⁻² diag C`, and the mean moves by `−ρ σ'² ∂(−L)/∂μ` (Khan and Nielsen 2018). Only
/// the diagonal of the curvature is used.
pub enum NaturalGradientDirection {}

/// Natural-gradient steps, damped until they gain enough.
pub type NaturalGradientStepper = DampedStepper<NaturalGradientDirection>;

impl DampedStepDirection for NaturalGradientDirection {
    fn step_at_damping(
        gradient: &WhitenedGradient,
        damping: f64,
    ) -> Option<(DVector<f64>, DVector<f64>)> {
        let rate = 1.0 / (1.0 + damping);
        let precision = gradient
            .log_std
            .map(|g| 1.0 - rate + rate * (g + 1.0).max(MIN_CURVATURE)); // diag C = g + 1
        let for_mean = gradient.mean.component_div(&precision) * -rate;
        Some((for_mean, precision.map(|p| -0.5 * p.ln())))
    }
}
