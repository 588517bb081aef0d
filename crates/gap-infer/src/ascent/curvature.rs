//! Newton steps from an estimated curvature, and what is known about the estimate's error.
//!
//! All matrices are in whitened coordinates, where `C` is the identity at the optimum of a full Gaussian. In
//! these coordinates a diagonal Gaussian at its optimum has eigenvalues down to about `10 / κ` if `κ` is the
//! condition number of the posterior's precision. A fixed ridge would hide the directions that are hardest to
//! solve, so the ridge comes from the scatter of `C` over sets of draws.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// A curvature `C`, `[D, D]`, and the error of its entries.
#[derive(Clone, Debug)]
pub struct EstimatedCurvature {
    /// The estimate of `C`.
    pub mean: DMatrix<f64>,
    /// The root mean square, over all entries, of their standard errors.
    pub entry_std_error: f64,
}

impl EstimatedCurvature {
    /// The mean of estimates from independent sets of draws, of which there are at least two.
    pub fn from_independent_sets(sets: &[&DMatrix<f64>]) -> Self {
        let (k, dim) = (sets.len() as f64, sets[0].nrows());
        let mean = sets
            .iter()
            .fold(DMatrix::zeros(dim, dim), |sum, c| sum + *c)
            / k;
        let scatter: f64 = sets.iter().map(|c| (*c - &mean).norm_squared()).sum();
        Self {
            mean,
            entry_std_error: (scatter / (k * (k - 1.0))).sqrt() / dim as f64,
        }
    }

    /// How far eigenvalues may be off: the spectral norm of a symmetric matrix of independent errors is about
    /// twice this (Wigner's semicircle law).
    pub fn half_spectral_error(&self) -> f64 {
        self.entry_std_error * (self.mean.nrows() as f64).sqrt()
    }
}

/// Returns `(C + λI)⁻¹ g` by Cholesky's factorisation, where `λ` is `damping`; `None` if `C + λI` is not
/// positive definite.
pub fn solve_damped_newton_step(
    curvature: &DMatrix<f64>,
    damping: f64,
    gradient: &DVector<f64>,
) -> Option<DVector<f64>> {
    Some(cholesky_of_damped(curvature, damping)?.solve(gradient))
}

/// The step in `log σ` per unit of its gradient `h − 1`, to the optimum of a Gaussian posterior, where `h` is
/// `C_ii`: `½ ln h / (h − 1)`. Newton's step, `½ / h`, would be too long below 1 and too short above.
///
/// An estimate of `h` below `least` counts as `least`.
pub fn log_std_step_per_gradient(h: f64, least: f64) -> f64 {
    let h = h.max(least);
    let excess = h - 1.0;
    if excess.abs() < 1e-3 {
        0.5 - 0.25 * excess // ½ ln h / (h − 1) to first order
    } else {
        0.5 * h.ln() / excess
    }
}

/// Twice the distance to the optimum in `log σ` per square of the gradient `h − 1`, for a Gaussian posterior:
/// `(h − 1 − ln h) / (h − 1)²`, where `h` is `C_ii`.
pub fn log_std_distance_per_gradient(h: f64) -> f64 {
    let excess = h - 1.0;
    if excess.abs() < 1e-3 {
        0.5 - excess / 3.0
    } else {
        (excess - h.ln()) / excess.powi(2)
    }
}

/// Newton steps `M g` for the mean, in whitened coordinates `w`, from one factorisation of `M⁻¹ = C + λI`.
pub struct NewtonPreconditioner {
    factor: Cholesky<f64, Dyn>,
}

impl NewtonPreconditioner {
    /// `λ` is `ridge`, raised if necessary until `C + λI` is positive definite.
    pub fn new(curvature: &DMatrix<f64>, ridge: f64) -> Self {
        let mut ridge = ridge;
        loop {
            if let Some(factor) = cholesky_of_damped(curvature, ridge) {
                return Self { factor };
            }
            // Terminates: a ridge above the largest absolute row sum makes a finite matrix positive definite.
            ridge = (3.0 * ridge).max(1e-6);
        }
    }

    /// Returns the step `M g` for the mean, in `w`, from its gradient.
    pub fn newton_mean_step(&self, mean_gradient: &DVector<f64>) -> DVector<f64> {
        self.factor.solve(mean_gradient)
    }

    /// Returns `gᵀ M g`. `gradient` is `g`, and is overwritten.
    pub fn square(&self, gradient: &mut [f64]) -> f64 {
        // |L⁻¹ g|², where L is the factor: forward substitution, column by column.
        let factor = self.factor.l_dirty();
        let dim = gradient.len();
        let mut sum = 0.0;
        for (j, column) in factor.as_slice().chunks_exact(dim).enumerate() {
            let value = gradient[j] / column[j];
            sum += value * value;
            for (g, l) in gradient[j + 1..].iter_mut().zip(&column[j + 1..]) {
                *g -= value * l;
            }
        }
        sum
    }
}

/// The factor, at most 1, that limits a step in `w`: every component to `longest` in absolute value, unless the
/// step's predicted gain is below `½ longest²` nats.
///
/// In directions of little curvature the optimum may be many standard deviations of `q` away; steps along them
/// change little.
pub fn shrink_factor(step: &DVector<f64>, gradient: &DVector<f64>, longest: f64) -> f64 {
    let by_length = longest / step.amax();
    let by_gain = longest / step.dot(gradient).max(0.0).sqrt();
    by_length.max(by_gain).min(1.0)
}

pub fn cholesky_of_damped(curvature: &DMatrix<f64>, damping: f64) -> Option<Cholesky<f64, Dyn>> {
    let mut damped = curvature.clone();
    for i in 0..damped.nrows() {
        damped[(i, i)] += damping;
    }
    damped.cholesky()
}
