//! The maps of a family from `λ` to draws of `z`, and from the scores at these draws to an evaluation.

use super::evaluation::{Evaluation, EvaluationRequest, LossGradient, WhitenedGradient};
use crate::family::{FullGaussian, VariationalFamily};
use nalgebra::DVector;
use std::f64::consts::{E, TAU};

/// The two parts of one datapoint's evaluation: before the model's scores are computed, and after.
pub(super) trait Reparameterization {
    /// What [`Self::evaluation_from_scores`] needs from [`Self::reparameterize`].
    type ReparameterizedState;

    /// The most draws that are evaluated together, over all datapoints: their buffers should fit in the cache.
    /// All draws of one datapoint are evaluated together even if they are more.
    const MAX_DRAWS_AT_ONCE: usize = usize::MAX;

    /// Writes the draws `z`, `[S, D]`, of the datapoint with parameters `params` at `noise`. Also writes their
    /// `log q`, `[S]`, if the family's loss is computed from it and not from the entropy.
    fn reparameterize(
        &mut self,
        params: &[f64],
        noise: &[f32],
        z: &mut [f32],
        log_q: &mut [f64],
    ) -> Self::ReparameterizedState;

    /// Returns the evaluation from the scores at these draws, and from their log joints if the loss is
    /// requested.
    fn evaluation_from_scores(
        &mut self,
        placed: Self::ReparameterizedState,
        params: &[f64],
        draws: &ScoredDraws<'_>,
        request: EvaluationRequest,
    ) -> Evaluation;
}

/// One datapoint's draws, and the model's outputs at them.
pub(super) struct ScoredDraws<'a> {
    pub(super) noise: &'a [f32],         // [S, N]
    pub(super) duals: Option<&'a [f32]>, // [S, N], if the set of draws has them
    pub(super) score: &'a [f32],         // [S, D]
    pub(super) log_joint: &'a [f64],     // [S], valid if the loss was requested
    pub(super) log_q: &'a [f64],         // [S], valid if the family's loss needs it
}

/// The reparameterization of a diagonal Gaussian, `z = μ + σ ∘ ε`.
pub(super) struct DiagonalReparameterization {
    mean: Vec<f32>, // of the latest datapoint, [D]
    std: Vec<f32>,
}

impl DiagonalReparameterization {
    pub(super) fn new(dim: usize) -> Self {
        Self {
            mean: vec![0.0; dim],
            std: vec![0.0; dim],
        }
    }
}

impl Reparameterization for DiagonalReparameterization {
    /// The standard deviations `σ`, `[D]`.
    type ReparameterizedState = DVector<f64>;

    fn reparameterize(
        &mut self,
        params: &[f64],
        noise: &[f32],
        z: &mut [f32],
        _: &mut [f64],
    ) -> DVector<f64> {
        let dim = self.mean.len();
        let (mean, log_std) = params.split_at(dim);
        let std = DVector::from_iterator(dim, log_std.iter().map(|r| r.exp()));
        for i in 0..dim {
            (self.mean[i], self.std[i]) = (mean[i] as f32, std[i] as f32);
        }
        for (z, noise) in z.chunks_exact_mut(dim).zip(noise.chunks_exact(dim)) {
            for i in 0..dim {
                z[i] = self.mean[i] + self.std[i] * noise[i];
            }
        }
        std
    }

    fn evaluation_from_scores(
        &mut self,
        std: DVector<f64>,
        params: &[f64],
        draws: &ScoredDraws<'_>,
        request: EvaluationRequest,
    ) -> Evaluation {
        let dim = std.len();
        let gradient = WhitenedGradient::from_scores(std, draws, draws.score, request);
        gaussian_evaluation(gradient, params, dim, draws, request)
    }
}

/// The reparameterization of a full Gaussian, `z = μ + L ε`. Its gradient is that of a diagonal Gaussian with
/// `σ = 1` in `w = L⁻¹ (z − μ)`.
pub(super) struct FullGaussianReparameterization {
    family: FullGaussian,
    whitened: Vec<f32>, // scores of the latest datapoint in w, [S, D]
}

impl FullGaussianReparameterization {
    pub(super) const fn new(family: FullGaussian) -> Self {
        Self {
            family,
            whitened: Vec::new(),
        }
    }
}

impl Reparameterization for FullGaussianReparameterization {
    /// The parameters `λ` in `f32`, `[Q]`.
    type ReparameterizedState = Vec<f32>;

    fn reparameterize(
        &mut self,
        params: &[f64],
        noise: &[f32],
        z: &mut [f32],
        _: &mut [f64],
    ) -> Vec<f32> {
        let params: Vec<f32> = params.iter().map(|&p| p as f32).collect();
        self.family.affine_map(&params).apply_to_rows(noise, z);
        params
    }

    fn evaluation_from_scores(
        &mut self,
        placed: Vec<f32>,
        params: &[f64],
        draws: &ScoredDraws<'_>,
        request: EvaluationRequest,
    ) -> Evaluation {
        let dim = self.family.latent_dim() as usize;
        self.whitened.resize(draws.score.len(), 0.0);
        let map = self.family.affine_map(&placed);
        map.whiten_score_rows(draws.score, &mut self.whitened);
        let ones = DVector::from_element(dim, 1.0);
        let gradient = WhitenedGradient::from_scores(ones, draws, &self.whitened, request);
        gaussian_evaluation(gradient, params, dim, draws, request)
    }
}

/// The reparameterization of any family, by its own `transform_row` and `pull_back_row`.
pub(super) struct GenericReparameterization<'a>(pub(super) &'a dyn VariationalFamily);

impl Reparameterization for GenericReparameterization<'_> {
    /// The parameters `λ` in `f32`, `[Q]`.
    type ReparameterizedState = Vec<f32>;

    const MAX_DRAWS_AT_ONCE: usize = 4096;

    fn reparameterize(
        &mut self,
        params: &[f64],
        noise: &[f32],
        z: &mut [f32],
        log_q: &mut [f64],
    ) -> Vec<f32> {
        let params: Vec<f32> = params.iter().map(|&p| p as f32).collect();
        self.0.transform_row(&params, noise, z, log_q);
        params
    }

    fn evaluation_from_scores(
        &mut self,
        placed: Vec<f32>,
        _: &[f64],
        draws: &ScoredDraws<'_>,
        request: EvaluationRequest,
    ) -> Evaluation {
        let mut gradient = vec![0.0; placed.len()];
        self.0
            .pull_back_row(&placed, draws.noise, draws.score, &mut gradient);
        let log_weights = || draws.log_joint.iter().zip(draws.log_q).map(|(p, q)| p - q);
        let n = draws.log_joint.len() as f64;
        let loss = request.loss.then(|| -log_weights().sum::<f64>() / n);
        let evidence_gap = loss.map(|loss| {
            let most = log_weights().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = log_weights().map(|w| (w - most).exp()).sum();
            most + (sum / n).ln() + loss
        });
        Evaluation {
            loss,
            evidence_gap,
            gradient: LossGradient::Params(gradient.iter().map(|&g| -f64::from(g)).collect()),
        }
    }
}

/// The evaluation of a Gaussian with this `gradient`, and with `−L` if it is requested.
fn gaussian_evaluation(
    gradient: WhitenedGradient,
    params: &[f64],
    dim: usize,
    draws: &ScoredDraws<'_>,
    request: EvaluationRequest,
) -> Evaluation {
    let loss = || gaussian_negative_elbo(params, dim, draws);
    Evaluation {
        loss: request.loss.then(loss),
        evidence_gap: None,
        gradient: LossGradient::Whitened(Box::new(gradient)),
    }
}

/// `−L` of a Gaussian, nats. In its `λ`, the mean is followed by `log σ` or `log diag L`.
fn gaussian_negative_elbo(params: &[f64], dim: usize, draws: &ScoredDraws<'_>) -> f64 {
    let mean = draws.log_joint.iter().sum::<f64>() / draws.log_joint.len() as f64;
    -mean - gaussian_entropy_nats(&params[dim..2 * dim])
}

/// The entropy of a Gaussian with this `log σ`, or `log diag L`, nats.
fn gaussian_entropy_nats(log_stds: &[f64]) -> f64 {
    log_stds.iter().sum::<f64>() + 0.5 * log_stds.len() as f64 * (TAU * E).ln()
}
