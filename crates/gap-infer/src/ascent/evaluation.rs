//! Evaluations of one datapoint's `−L[q]` at a trial `λ`: what can be requested, and the results.

use gap_spec::Precision;
use nalgebra::{DMatrix, DVector};

/// What an evaluation computes besides the gradient, and how precisely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluationRequest {
    /// Whether to compute the value of `−L` too. It needs `log p(x, z)` at each draw; the gradient needs only
    /// the score.
    pub loss: bool,
    /// Whether to compute the whole curvature too. It needs a matrix product of scores and draws.
    pub curvature: bool,
    /// The precision of the model's matrix products. It is always full if the value of `−L` is computed.
    pub precision: Precision,
}

impl EvaluationRequest {
    /// Only the gradient, in full precision.
    pub const GRADIENT_ONLY: Self = Self {
        loss: false,
        curvature: false,
        precision: Precision::Full,
    };
}

/// One datapoint's `−L[q]` at a trial `λ`, estimated on one set of draws.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// `−L`, nats, if it was requested.
    pub loss: Option<f64>,
    /// The gradient, in coordinates that depend on the family.
    pub gradient: LossGradient,
}

/// The gradient of `−L`.
#[derive(Clone, Debug)]
pub enum LossGradient {
    /// The gradient of a Gaussian, in whitened coordinates.
    Whitened(WhitenedGradient),
    /// `∂(−L)/∂λ`, `[Q]`, of a family that is treated as [`FamilyKind::Any`](super::FamilyKind::Any).
    Params(Vec<f64>),
}

/// The gradient of a Gaussian, and its curvature if that was requested.
///
/// For a diagonal Gaussian, `λ = (μ, log σ)`, the coordinates are `w = (z − μ) / σ`; `s` is the score
/// `∇_z log p(x, z)` at `z = μ + σ ∘ ε`. For a full Gaussian they are `w = L⁻¹ (z − μ)`, and the fields are as
/// for a diagonal one with `σ = 1` and the score `Lᵀ s`; `C` then determines the whole gradient in the
/// covariance.
#[derive(Clone, Debug)]
pub struct WhitenedGradient {
    /// `σ`, `[D]`; ones for a full Gaussian.
    pub std: DVector<f64>,
    /// `σ ∘ ∂(−L)/∂μ = −E[σ s]`, `[D]`.
    pub mean: DVector<f64>,
    /// `∂(−L)/∂ log σ = −E[σ s ∘ ε] − 1`, `[D]`.
    pub log_std: DVector<f64>,
    /// `C = sym(−E[σ s εᵀ])`, `[D, D]`: by Stein's identity an estimate of the Hessian of `−E log p(x, z)`
    /// in `w`.
    pub curvature: Option<DMatrix<f64>>,
}

impl Evaluation {
    /// Whether all its numbers are finite.
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
    /// If it was not requested.
    pub const fn loss_nats(&self) -> f64 {
        self.loss.expect("whoever reads the loss asks for it")
    }

    /// The gradient of a Gaussian in whitened coordinates.
    ///
    /// # Panics
    ///
    /// If the gradient is [`LossGradient::Params`].
    pub const fn whitened_gradient(&self) -> &WhitenedGradient {
        match &self.gradient {
            LossGradient::Whitened(gradient) => gradient,
            LossGradient::Params(_) => panic!("steps in whitened coordinates are of Gaussians"),
        }
    }
}

impl WhitenedGradient {
    /// Estimates the gradient, and the curvature if requested, from one datapoint's draws and scores, each
    /// `[S, D]`.
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

    /// The curvature `C`.
    ///
    /// # Panics
    ///
    /// If it was not requested.
    pub fn curvature(&self) -> &DMatrix<f64> {
        let curvature = self.curvature.as_ref();
        curvature.expect("whoever reads the curvature asks for it")
    }
}
