//! Solving with an estimated curvature.

use nalgebra::{DMatrix, DVector};

/// Added to the curvature where nothing else is known: a posterior is seldom 50 times wider than `q`.
const RIDGE: f64 = 0.02;

/// `(C + λI)⁻¹ g` by Cholesky's factorisation; none if that is not positive definite.
pub fn solve(
    curvature: &DMatrix<f64>,
    damping: f64,
    gradient: &DVector<f64>,
) -> Option<DVector<f64>> {
    let mut damped = curvature.clone();
    for i in 0..damped.nrows() {
        damped[(i, i)] += damping;
    }
    Some(damped.cholesky()?.solve(gradient))
}

/// `(C + λI)⁻¹ g` with `λ = 0.02 + damping`, or with the least of a few larger ones that suffices.
pub fn ridge_solve(
    curvature: &DMatrix<f64>,
    damping: f64,
    gradient: &DVector<f64>,
) -> DVector<f64> {
    let mut ridge = RIDGE + damping;
    loop {
        if let Some(step) = solve(curvature, ridge, gradient) {
            return step;
        }
        // Ends: a ridge above the largest row sum makes any finite matrix positive definite.
        ridge = (3.0 * ridge).max(0.1);
    }
}
