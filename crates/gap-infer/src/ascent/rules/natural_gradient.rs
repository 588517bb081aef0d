//! The natural gradient of a Gaussian, its step shortened until it keeps its promise.

use super::damped::{DampedStepDirection, DampedStepper};
use crate::ascent::evaluation::WhitenedGradient;
use nalgebra::DVector;

/// The least curvature that is believed.
const MIN_CURVATURE: f64 = 0.05;

/// With step `ρ = 1 / (1 + λ)`: the precision moves to `(1 − ρ) σ⁻² + ρ σ⁻² diag C`, the mean by
/// `−ρ σ'² ∂(−L)/∂μ` (Khan and Nielsen 2018). Only the diagonal of the curvature enters.
pub enum NaturalGradientDirection {}

/// Natural-gradient steps, damped as far as they do not gain.
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
