//! Evaluations of one datapoint's `−L[q]` at a trial `λ`: what can be requested, and the results.

use super::coordinates::ScoredDraws;
use super::draws::DrawParts;
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
    /// Whether to compute moments of parts of the draws too, whose scatter shows the error of the gradient and
    /// of the curvature. Only with [`Self::curvature`].
    pub scatter: bool,
    /// The precision of the model's matrix products. It is always full if the value of `−L` is computed.
    pub precision: Precision,
}

impl EvaluationRequest {
    /// Only the gradient, in full precision.
    pub const GRADIENT_ONLY: Self = Self {
        loss: false,
        curvature: false,
        scatter: false,
        precision: Precision::Full,
    };
}

/// One datapoint's `−L[q]` at a trial `λ`, estimated on one set of draws.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// `−L`, nats, if it was requested.
    pub loss: Option<f64>,
    /// The importance-weighted estimate of `log p(x)` on the draws, less `L` on them, nats: what remains to the
    /// posterior itself, which no `q` of any family can exceed. With the loss, for families that are treated as
    /// [`FamilyKind::Any`](super::FamilyKind::Any).
    pub evidence_gap: Option<f64>,
    /// The gradient, in coordinates that depend on the family.
    pub gradient: LossGradient,
}

/// The gradient of `−L`.
#[derive(Clone, Debug)]
pub enum LossGradient {
    /// The gradient of a Gaussian, in whitened coordinates.
    Whitened(Box<WhitenedGradient>),
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
    /// `sym(−E[σ s εᵀ])` on the draws as they are, if the set of draws has duals; `curvature` is then the
    /// regression of the scores on the draws.
    pub raw_curvature: Option<DMatrix<f64>>,
    /// The same on parts of the draws, if it was requested and there are enough draws.
    pub parts: Option<GradientParts>,
}

/// The gradient on the parts of a set of draws.
#[derive(Clone, Debug)]
pub struct GradientParts {
    /// `σ ∘ ∂(−L)/∂μ` on each part, `[D]`.
    pub mean: Vec<DVector<f64>>,
    /// `∂(−L)/∂ log σ` on each part, `[D]`.
    pub log_std: Vec<DVector<f64>>,
    /// `C` on the first half of the parts less `C` on the second half, `[D, D]`.
    pub curvature_difference: DMatrix<f64>,
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
    pub fn whitened_gradient(&self) -> &WhitenedGradient {
        match &self.gradient {
            LossGradient::Whitened(gradient) => gradient,
            LossGradient::Params(_) => panic!("steps in whitened coordinates are of Gaussians"),
        }
    }
}

/// Adds `s eᵀ` for each pair of rows `s` of `left` and `e` of `right` to `sums`, `[D, D]`.
fn add_outer_products(left: &[f32], right: &[f32], dim: usize, sums: &mut [f32]) {
    for (left, right) in left.chunks_exact(dim).zip(right.chunks_exact(dim)) {
        for (row, s) in sums.chunks_exact_mut(dim).zip(left) {
            for (value, e) in row.iter_mut().zip(right) {
                *value += s * e;
            }
        }
    }
}

impl WhitenedGradient {
    /// Estimates the gradient, and what `request` asks for besides, from one datapoint's draws and scores, each
    /// `[S, D]`.
    pub(super) fn from_scores(
        std: DVector<f64>,
        draws: &ScoredDraws<'_>,
        score: &[f32],
        request: EvaluationRequest,
    ) -> Self {
        let dim = std.len();
        let noise = draws.noise;
        let n_samples = noise.len() / dim;
        let parts = DrawParts::of(n_samples).filter(|_| request.scatter);
        let n_parts = parts.map_or(1, DrawParts::len);
        let n_halves = n_parts.min(2);
        let mut sum = vec![0.0_f32; n_parts * dim];
        let mut diagonal = vec![0.0_f32; n_parts * dim];
        let mut outer = vec![
            0.0_f32;
            if request.curvature {
                n_halves * dim * dim
            } else {
                0
            }
        ];
        let rows = noise.chunks_exact(dim).zip(score.chunks_exact(dim));
        for (draw, (noise, score)) in rows.enumerate() {
            let part = parts.map_or(0, |parts| parts.part_of_draw(draw));
            for (sum, s) in sum[part * dim..].iter_mut().zip(score) {
                *sum += s;
            }
            if request.curvature {
                let half = part * n_halves / n_parts;
                let outer = &mut outer[half * dim * dim..][..dim * dim];
                add_outer_products(score, noise, dim, outer);
            }
            if request.scatter || !request.curvature {
                for ((value, s), e) in diagonal[part * dim..].iter_mut().zip(score).zip(noise) {
                    *value += s * e;
                }
            }
        }
        let symmetric = |outer: &[f32], n_samples: f64| {
            let scaled = |i: usize, j: usize| std[i] * f64::from(outer[i * dim + j]);
            let scale = -0.5 / n_samples;
            DMatrix::from_fn(dim, dim, |i, j| scale * (scaled(i, j) + scaled(j, i)))
        };
        let curvature_of = |half: usize, n_samples: f64| {
            symmetric(&outer[half * dim * dim..][..dim * dim], n_samples)
        };
        let n = n_samples as f64;
        let of_part = |sums: &[f32], part: usize, n: f64, shift: f64| {
            let sums = &sums[part * dim..];
            DVector::from_fn(dim, |i, _| -std[i] * f64::from(sums[i]) / n - shift)
        };
        let Some(parts) = parts else {
            let own = request.curvature.then(|| curvature_of(0, n));
            let (curvature, raw_curvature) = match draws.duals.filter(|_| request.curvature) {
                None => (own, None),
                Some(duals) => {
                    let mut outer = vec![0.0_f32; dim * dim];
                    add_outer_products(score, duals, dim, &mut outer);
                    (Some(symmetric(&outer, n)), own)
                }
            };
            return Self {
                mean: of_part(&sum, 0, n, 0.0),
                log_std: raw_curvature.as_ref().or(curvature.as_ref()).map_or_else(
                    || of_part(&diagonal, 0, n, 1.0),
                    |curvature| curvature.diagonal().add_scalar(-1.0),
                ),
                curvature,
                raw_curvature,
                parts: None,
                std,
            };
        };
        let mut sizes = vec![0.0; n_parts];
        for draw in 0..n_samples {
            sizes[parts.part_of_draw(draw)] += 1.0;
        }
        let means: Vec<DVector<f64>> = (0..n_parts)
            .map(|part| of_part(&sum, part, sizes[part], 0.0))
            .collect();
        let log_stds = (0..n_parts).map(|part| of_part(&diagonal, part, sizes[part], 1.0));
        let mean = means
            .iter()
            .zip(&sizes)
            .fold(DVector::zeros(dim), |sum, (mean, size)| {
                sum + mean * (size / n)
            });
        let n_first: f64 = sizes[..n_parts / 2].iter().sum();
        let (first, second) = (curvature_of(0, n_first), curvature_of(1, n - n_first));
        let curvature = &first * (n_first / n) + &second * (1.0 - n_first / n);
        Self {
            mean,
            log_std: curvature.diagonal().add_scalar(-1.0),
            curvature: Some(curvature),
            raw_curvature: None,
            parts: Some(GradientParts {
                log_std: log_stds.collect(),
                mean: means,
                curvature_difference: first - second,
            }),
            std,
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
