//! Evaluations of one datapoint's `−L[q]` at a trial `λ`: what can be requested, and the results.

use super::coordinates::ScoredDraws;
use super::scored_block::{ScoredBlock, all_finite};
use crate::family::FloatNumber;
use gap_spec::Precision;
use nalgebra::{DMatrix, DVector};
use std::sync::Arc;

/// What an evaluation computes besides the gradient, and how precisely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluationRequest {
    /// Whether to compute the value of `−L` too. It needs `log p(x, z)` at each draw; the gradient needs only
    /// the score.
    pub loss: bool,
    /// Whether to compute the whole curvature too. It needs a matrix product of scores and draws.
    pub curvature: bool,
    /// Whether to keep the scores, whose scatter over parts of the draws shows the error of the gradient and of the
    /// curvature. Without [`Self::curvature`], nothing but the scores is computed.
    pub scores: bool,
    /// The precision of the model's matrix products. It is always full if the value of `−L` is computed.
    pub precision: Precision,
}

impl EvaluationRequest {
    /// Only the gradient, in full precision.
    pub const GRADIENT_ONLY: Self = Self {
        loss: false,
        curvature: false,
        scores: false,
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
    /// What the gradient of a Gaussian is computed from, if only the scores were requested.
    Scores(ScoredBlock),
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
    /// The scores themselves, if they were requested.
    pub(crate) block: Option<ScoredBlock>,
}

impl Evaluation {
    /// Whether all its numbers are finite.
    pub fn is_finite(&self) -> bool {
        self.loss.is_none_or(f64::is_finite)
            && match &self.gradient {
                LossGradient::Params(gradient) => gradient.iter().all(|g| g.is_finite()),
                LossGradient::Whitened(gradient) => gradient.is_finite(),
                LossGradient::Scores(block) => block.is_finite(),
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
    /// If the family is not a Gaussian, or only the scores were requested.
    pub fn whitened_gradient(&self) -> &WhitenedGradient {
        match &self.gradient {
            LossGradient::Whitened(gradient) => gradient,
            LossGradient::Params(_) => panic!("steps in whitened coordinates are of Gaussians"),
            LossGradient::Scores(_) => panic!("whoever reads the gradient asks for it"),
        }
    }

    /// Drops the scores that were kept beside a gradient.
    pub(crate) fn forget_scores(&mut self) {
        if let LossGradient::Whitened(gradient) = &mut self.gradient {
            gradient.block = None;
        }
    }

    /// The scores of a Gaussian.
    ///
    /// # Panics
    ///
    /// If more was requested, or something else.
    pub(crate) fn into_scored_block(self) -> ScoredBlock {
        match self.gradient {
            LossGradient::Scores(block) => block,
            LossGradient::Whitened(_) | LossGradient::Params(_) => {
                panic!("whoever reads the scores asks for them alone")
            }
        }
    }
}

/// Adds a draw's score `s` to `scores`, and `s ∘ ε` to `products`, all `[D]`.
pub(super) fn add_score_and_product<T: FloatNumber>(
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

impl LossGradient {
    /// The gradient of a Gaussian, and what `request` asks for besides, from one datapoint's draws and scores, each
    /// `[S, D]`.
    pub(super) fn from_scores<T: FloatNumber>(
        std: DVector<f64>,
        draws: &ScoredDraws<'_, T>,
        score: &[T],
        request: EvaluationRequest,
    ) -> Self {
        let whitened = match &draws.block {
            None => WhitenedGradient::without_curvature(std, draws.noise, score),
            Some(block) => {
                let block = ScoredBlock::new(&std, score, Arc::clone(block));
                if !request.curvature {
                    return Self::Scores(block);
                }
                WhitenedGradient::from_block(std, block, request.scores)
            }
        };
        Self::Whitened(Box::new(whitened))
    }
}

impl WhitenedGradient {
    fn from_block(std: DVector<f64>, block: ScoredBlock, keeps_scores: bool) -> Self {
        let own = block.curvature();
        let regression = block.curvature_by_regression();
        let log_std = own.diagonal().add_scalar(-1.0);
        let (curvature, raw_curvature) = match regression {
            None => (own, None),
            Some(regression) => (regression, Some(own)),
        };
        Self {
            mean: block.gradient(),
            log_std,
            curvature: Some(curvature),
            raw_curvature,
            block: keeps_scores.then_some(block),
            std,
        }
    }

    fn without_curvature<T: FloatNumber>(std: DVector<f64>, noise: &[T], score: &[T]) -> Self {
        let dim = std.len();
        let n = (noise.len() / dim) as f64;
        let mut sums = vec![T::default(); 2 * dim];
        let (of_scores, of_products) = sums.split_at_mut(dim);
        for (noise, score) in noise.chunks_exact(dim).zip(score.chunks_exact(dim)) {
            add_score_and_product(noise, score, of_scores, of_products);
        }
        Self {
            mean: std.map_with_location(|i, _, s| -s * of_scores[i].to_f64() / n),
            log_std: std.map_with_location(|i, _, s| -s * of_products[i].to_f64() / n - 1.0),
            curvature: None,
            raw_curvature: None,
            block: None,
            std,
        }
    }

    fn is_finite(&self) -> bool {
        let curvature = self.curvature.as_ref().map_or(&[][..], |c| c.as_slice());
        [self.mean.as_slice(), self.log_std.as_slice(), curvature]
            .into_iter()
            .all(all_finite)
    }

    /// The scores.
    ///
    /// # Panics
    ///
    /// If they were not requested.
    pub(crate) const fn block(&self) -> &ScoredBlock {
        self.block
            .as_ref()
            .expect("whoever reads the scores asks for them")
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
