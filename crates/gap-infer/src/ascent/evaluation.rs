//! Evaluations of one datapoint's `−L[q]` at a trial `λ`: what can be requested, and the results.

use super::coordinates::ScoredDraws;
use super::draws::DrawParts;
use crate::family::FloatNumber;
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
    /// `σ ∘ ∂(−L)/∂μ` on each of `P` parts, `[D, P]`.
    pub mean: DMatrix<f64>,
    /// `∂(−L)/∂ log σ` on each part, `[D, P]`.
    pub log_std: DMatrix<f64>,
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

/// The rows of two matrices of `dim` columns, in pairs.
fn rows_of_both<'a, T>(
    left: &'a [T],
    right: &'a [T],
    dim: usize,
) -> impl Iterator<Item = (&'a [T], &'a [T])> {
    left.chunks_exact(dim).zip(right.chunks_exact(dim))
}

/// Adds a draw's score `s` to `scores`, and `s ∘ ε` to `products`, all `[D]`.
fn add_score_and_product<T: FloatNumber>(
    noise: &[T],
    score: &[T],
    scores: &mut [T],
    products: &mut [T],
) {
    let sums = scores.iter_mut().zip(products);
    for ((sum, product), (&s, &e)) in sums.zip(score.iter().zip(noise)) {
        *sum += s;
        *product += s * e;
    }
}

/// Adds `s eᵀ` for each pair of rows `s` of `left` and `e` of `right` to `sums`, `[D, D]`.
fn add_outer_products<T: FloatNumber>(left: &[T], right: &[T], dim: usize, sums: &mut [T]) {
    for (left, right) in rows_of_both(left, right, dim) {
        for (row, &s) in sums.chunks_exact_mut(dim).zip(left) {
            for (value, &e) in row.iter_mut().zip(right) {
                *value += s * e;
            }
        }
    }
}

/// `sym(−σ s εᵀ)` from the sum of `s εᵀ` over `n` draws, `[D, D]`, row by row.
fn curvature_from_outer_products<T: FloatNumber>(
    std: &DVector<f64>,
    outer: &[T],
    n: f64,
) -> DMatrix<f64> {
    let dim = std.len();
    let scaled = |i: usize, j: usize| std[i] * outer[i * dim + j].to_f64();
    let mut curvature = DMatrix::zeros(dim, dim);
    for j in 0..dim {
        for i in 0..=j {
            let value = (scaled(i, j) + scaled(j, i)) * (-0.5 / n);
            (curvature[(i, j)], curvature[(j, i)]) = (value, value);
        }
    }
    curvature
}

impl WhitenedGradient {
    /// Estimates the gradient, and what `request` asks for besides, from one datapoint's draws and scores, each
    /// `[S, D]`.
    pub(super) fn from_scores<T: FloatNumber>(
        std: DVector<f64>,
        draws: &ScoredDraws<'_, T>,
        score: &[T],
        request: EvaluationRequest,
    ) -> Self {
        let dim = std.len();
        let n_samples = draws.noise.len() / dim;
        let parts = DrawParts::of(n_samples).filter(|_| request.curvature && request.scatter);
        match parts {
            Some(parts) => Self::with_parts(std, draws.noise, score, parts),
            None if request.curvature => Self::with_curvature(std, draws, score),
            None => {
                let mut sums = vec![T::default(); 2 * dim];
                let (of_scores, of_products) = sums.split_at_mut(dim);
                for (noise, score) in rows_of_both(draws.noise, score, dim) {
                    add_score_and_product(noise, score, of_scores, of_products);
                }
                let n = n_samples as f64;
                Self {
                    mean: std.map_with_location(|i, _, s| -s * of_scores[i].to_f64() / n),
                    log_std: std
                        .map_with_location(|i, _, s| -s * of_products[i].to_f64() / n - 1.0),
                    curvature: None,
                    raw_curvature: None,
                    parts: None,
                    std,
                }
            }
        }
    }

    fn with_curvature<T: FloatNumber>(
        std: DVector<f64>,
        draws: &ScoredDraws<'_, T>,
        score: &[T],
    ) -> Self {
        let dim = std.len();
        let n = (draws.noise.len() / dim) as f64;
        let mut of_scores = vec![T::default(); dim];
        for score in score.chunks_exact(dim) {
            for (sum, &s) in of_scores.iter_mut().zip(score) {
                *sum += s;
            }
        }
        let product_with = |right: &[T]| {
            let mut outer = vec![T::default(); dim * dim];
            add_outer_products(score, right, dim, &mut outer);
            curvature_from_outer_products(&std, &outer, n)
        };
        let own = product_with(draws.noise);
        let log_std = own.diagonal().add_scalar(-1.0);
        let (curvature, raw_curvature) = match draws.duals {
            None => (own, None),
            Some(duals) => (product_with(duals), Some(own)),
        };
        Self {
            mean: std.map_with_location(|i, _, s| -s * of_scores[i].to_f64() / n),
            log_std,
            curvature: Some(curvature),
            raw_curvature,
            parts: None,
            std,
        }
    }

    fn with_parts<T: FloatNumber>(
        std: DVector<f64>,
        noise: &[T],
        score: &[T],
        parts: DrawParts,
    ) -> Self {
        let dim = std.len();
        let n_parts = parts.len();
        let mut sizes = vec![0.0_f64; n_parts];
        let mut of_scores = vec![T::default(); n_parts * dim];
        let mut of_products = vec![T::default(); n_parts * dim];
        let mut outer = vec![T::default(); 2 * dim * dim];
        let draws = rows_of_both(noise, score, dim);
        for (part, (noise, score)) in parts.part_of_each_draw().zip(draws) {
            sizes[part] += 1.0;
            let of_part = part * dim..(part + 1) * dim;
            add_score_and_product(
                noise,
                score,
                &mut of_scores[of_part.clone()],
                &mut of_products[of_part],
            );
            let half = usize::from(part >= n_parts / 2);
            add_outer_products(
                score,
                noise,
                dim,
                &mut outer[half * dim * dim..][..dim * dim],
            );
        }
        let mean_over_parts = |sums: &[T], shift: f64| {
            DMatrix::from_fn(dim, n_parts, |i, part| {
                -std[i] * sums[part * dim + i].to_f64() / sizes[part] - shift
            })
        };
        let means = mean_over_parts(&of_scores, 0.0);
        let n: f64 = sizes.iter().sum();
        let mut mean = DVector::zeros(dim);
        for (column, size) in means.column_iter().zip(&sizes) {
            mean.axpy(size / n, &column, 1.0);
        }
        let n_first: f64 = sizes[..n_parts / 2].iter().sum();
        let (first, second) = outer.split_at(dim * dim);
        let first = curvature_from_outer_products(&std, first, n_first);
        let second = curvature_from_outer_products(&std, second, n - n_first);
        let curvature = first.zip_map(&second, |a, b| (n_first * a + (n - n_first) * b) / n);
        Self {
            mean,
            log_std: curvature.diagonal().add_scalar(-1.0),
            curvature: Some(curvature),
            raw_curvature: None,
            parts: Some(GradientParts {
                log_std: mean_over_parts(&of_products, 1.0),
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
