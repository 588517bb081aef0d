//! One datapoint's `−L[q]` at a trial `λ`, as far as it was asked for.

use gap_spec::Precision;
use nalgebra::{DMatrix, DVector};

/// What an evaluation computes, besides the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluationRequest {
    /// The value of `−L`: it costs the likelihood's normaliser.
    pub loss: bool,
    /// The whole curvature: it costs a product of scores and draws.
    pub curvature: bool,
    /// How exact the products of the gradient are. With the value they are always in full.
    pub precision: Precision,
}

impl EvaluationRequest {
    /// Nothing but the gradient.
    pub const GRADIENT_ONLY: Self = Self {
        loss: false,
        curvature: false,
        precision: Precision::Full,
    };
}

/// One datapoint's `−L[q]` at a trial `λ`, estimated on one set of draws.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// `−L`, nats, if it was asked for.
    pub loss: Option<f64>,
    /// In the coordinates of the family.
    pub gradient: LossGradient,
}

/// The gradient of `−L`.
#[derive(Clone, Debug)]
pub enum LossGradient {
    /// Of a Gaussian, in whitened coordinates.
    Whitened(WhitenedGradient),
    /// `∂(−L)/∂λ` of any other family, `[Q]`.
    Params(Vec<f64>),
}

/// The gradient of a Gaussian, and its curvature if it was asked for.
///
/// For a diagonal Gaussian, `λ = (μ, log σ)`: with `s = ∇_z log p(x, z)` at `z = μ + σ ∘ ε`, in
/// coordinates `w = (z − μ) / σ`. For a full one the same with `w = L⁻¹ (z − μ)`, where `C` says all that
/// there is to say of the covariance.
#[derive(Clone, Debug)]
pub struct WhitenedGradient {
    /// `σ`, `[D]`; for a full Gaussian ones.
    pub std: DVector<f64>,
    /// `σ ∘ ∂(−L)/∂μ = −E[σ s]`, `[D]`.
    pub mean: DVector<f64>,
    /// `∂(−L)/∂ log σ = −E[σ s ∘ ε] − 1`, `[D]`.
    pub log_std: DVector<f64>,
    /// `C = sym(−E[σ s εᵀ])`, `[D, D]`: by Stein's identity the Hessian of `−E log p(x, z)`.
    pub curvature: Option<DMatrix<f64>>,
}

impl Evaluation {
    /// Whether every number in it is finite.
    pub fn is_finite(&self) -> bool {
        self.loss.is_none_or(f64::is_finite)
            && match &self.gradient {
                LossGradient::Params(gradient) => gradient.iter().all(|g| g.is_finite()),
                LossGradient::Whitened(gradient) => gradient.is_finite(),
            }
    }

    /// `−L`, nats.
    ///
    /// # Panics
    ///
    /// If it was not asked for.
    pub const fn loss_nats(&self) -> f64 {
        self.loss.expect("whoever reads the loss asks for it")
    }

    /// A Gaussian's gradient.
    ///
    /// # Panics
    ///
    /// If the family is no Gaussian.
    pub const fn whitened_gradient(&self) -> &WhitenedGradient {
        match &self.gradient {
            LossGradient::Whitened(gradient) => gradient,
            LossGradient::Params(_) => panic!("steps in whitened coordinates are of Gaussians"),
        }
    }
}

impl WhitenedGradient {
    /// From one datapoint's draws and scores, each `[S, D]`.
    pub(super) fn from_scores(
        std: DVector<f64>,
        noise: &[f32],
        score: &[f32],
        curvature: bool,
    ) -> Self {
        let dim = std.len();
        let scale = -1.0 / (noise.len() / dim) as f64; // −1 / S
        let mut sum = vec![0.0_f32; dim];
        let mut diagonal = vec![0.0_f32; dim];
        let mut outer = vec![0.0_f32; if curvature { dim * dim } else { 0 }];
        for (noise, score) in noise.chunks_exact(dim).zip(score.chunks_exact(dim)) {
            for (sum, s) in sum.iter_mut().zip(score) {
                *sum += s;
            }
            if curvature {
                for (row, s) in outer.chunks_exact_mut(dim).zip(score) {
                    for (value, e) in row.iter_mut().zip(noise) {
                        *value += s * e;
                    }
                }
            } else {
                for ((value, s), e) in diagonal.iter_mut().zip(score).zip(noise) {
                    *value += s * e;
                }
            }
        }
        let scaled = |i: usize, value: f32| std[i] * f64::from(value) * scale;
        let product_sum = |i: usize| {
            if curvature {
                outer[i * dim + i]
            } else {
                diagonal[i]
            }
        };
        let mean = DVector::from_fn(dim, |i, _| scaled(i, sum[i]));
        let log_std = DVector::from_fn(dim, |i, _| scaled(i, product_sum(i)) - 1.0);
        let curvature = curvature.then(|| {
            DMatrix::from_fn(dim, dim, |i, j| {
                0.5 * (scaled(i, outer[i * dim + j]) + scaled(j, outer[j * dim + i]))
            })
        });
        Self {
            std,
            mean,
            log_std,
            curvature,
        }
    }

    fn is_finite(&self) -> bool {
        self.mean.iter().all(|g| g.is_finite())
            && self.log_std.iter().all(|g| g.is_finite())
            && self
                .curvature
                .iter()
                .all(|c| c.iter().all(|value| value.is_finite()))
    }

    /// `C`.
    ///
    /// # Panics
    ///
    /// If it was not asked for.
    pub fn curvature(&self) -> &DMatrix<f64> {
        let curvature = self.curvature.as_ref();
        curvature.expect("whoever reads the curvature asks for it")
    }
}
