//! The maps of a family from `λ` to draws of `z`, and from the scores at these draws to an evaluation.

use super::evaluation::{Evaluation, EvaluationRequest, LossGradient};
use super::scored_block::BlockDraws;
use crate::family::{FloatNumber, FullGaussian, RowTransform, VariationalFamily};
use nalgebra::DVector;
use std::f64::consts::{E, TAU};
use std::sync::Arc;

/// The two parts of one datapoint's evaluation, on numbers of type `T`: before the model's scores are computed, and
/// after.
pub(super) trait Reparameterization<T> {
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
        noise: &[T],
        z: &mut [T],
        log_q: &mut [f64],
    ) -> Self::ReparameterizedState;

    /// Returns the evaluation from the scores at these draws, and from their log joints if the loss is
    /// requested.
    fn evaluation_from_scores(
        &mut self,
        placed: Self::ReparameterizedState,
        params: &[f64],
        draws: &ScoredDraws<'_, T>,
        request: EvaluationRequest,
    ) -> Evaluation;
}

/// One datapoint's draws, and the model's outputs at them.
pub(super) struct ScoredDraws<'a, T> {
    pub(super) noise: &'a [T],                 // [S, N]
    pub(super) block: Option<Arc<BlockDraws>>, // the same draws, if the curvature or the scores were requested
    pub(super) score: &'a [T],                 // [S, D]
    pub(super) log_joint: &'a [f64],           // [S], valid if the loss was requested
    pub(super) log_q: &'a [f64],               // [S], valid if the family's loss needs it
}

/// The reparameterization of a diagonal Gaussian, `z = μ + σ ∘ ε`.
pub(super) struct DiagonalReparameterization<T> {
    mean: Vec<T>, // of the latest datapoint, [D]
    std: Vec<T>,
}

impl<T: FloatNumber> DiagonalReparameterization<T> {
    pub(super) fn new(dim: usize) -> Self {
        Self {
            mean: vec![T::default(); dim],
            std: vec![T::default(); dim],
        }
    }
}

impl<T: FloatNumber> Reparameterization<T> for DiagonalReparameterization<T> {
    /// The standard deviations `σ`, `[D]`.
    type ReparameterizedState = DVector<f64>;

    fn reparameterize(
        &mut self,
        params: &[f64],
        noise: &[T],
        z: &mut [T],
        _: &mut [f64],
    ) -> DVector<f64> {
        let dim = self.mean.len();
        let (mean, log_std) = params.split_at(dim);
        let std = DVector::from_iterator(dim, log_std.iter().map(|r| r.exp()));
        for i in 0..dim {
            (self.mean[i], self.std[i]) = (T::from_f64(mean[i]), T::from_f64(std[i]));
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
        draws: &ScoredDraws<'_, T>,
        request: EvaluationRequest,
    ) -> Evaluation {
        let dim = std.len();
        let gradient = LossGradient::from_scores(std, draws, draws.score, request);
        gaussian_evaluation(gradient, params, dim, draws, request)
    }
}

/// The reparameterization of a full Gaussian, `z = μ + L ε`. Its gradient is that of a diagonal Gaussian with
/// `σ = 1` in `w = L⁻¹ (z − μ)`.
pub(super) struct FullGaussianReparameterization<T> {
    family: FullGaussian,
    whitened: Vec<T>, // scores of the latest datapoint in w, [S, D]
}

impl<T> FullGaussianReparameterization<T> {
    pub(super) const fn new(family: FullGaussian) -> Self {
        Self {
            family,
            whitened: Vec::new(),
        }
    }
}

impl<T: FloatNumber> Reparameterization<T> for FullGaussianReparameterization<T> {
    /// The parameters `λ` as numbers of type `T`, `[Q]`.
    type ReparameterizedState = Vec<T>;

    fn reparameterize(
        &mut self,
        params: &[f64],
        noise: &[T],
        z: &mut [T],
        _: &mut [f64],
    ) -> Vec<T> {
        let params: Vec<T> = params.iter().map(|&p| T::from_f64(p)).collect();
        self.family.affine_map(&params).apply_to_rows(noise, z);
        params
    }

    fn evaluation_from_scores(
        &mut self,
        placed: Vec<T>,
        params: &[f64],
        draws: &ScoredDraws<'_, T>,
        request: EvaluationRequest,
    ) -> Evaluation {
        let dim = self.family.latent_dim() as usize;
        self.whitened.resize(draws.score.len(), T::default());
        let map = self.family.affine_map(&placed);
        map.whiten_score_rows(draws.score, &mut self.whitened);
        let ones = DVector::from_element(dim, 1.0);
        let gradient = LossGradient::from_scores(ones, draws, &self.whitened, request);
        gaussian_evaluation(gradient, params, dim, draws, request)
    }
}

/// The reparameterization of any family, by its own `transform_row` and `pull_back_row`.
pub(super) struct GenericReparameterization<'a>(pub(super) &'a dyn VariationalFamily);

impl<'a, T: FloatNumber> Reparameterization<T> for GenericReparameterization<'a>
where
    dyn VariationalFamily + 'a: RowTransform<T>,
{
    /// The parameters `λ` as numbers of type `T`, `[Q]`.
    type ReparameterizedState = Vec<T>;

    const MAX_DRAWS_AT_ONCE: usize = 4096;

    fn reparameterize(
        &mut self,
        params: &[f64],
        noise: &[T],
        z: &mut [T],
        log_q: &mut [f64],
    ) -> Vec<T> {
        let params: Vec<T> = params.iter().map(|&p| T::from_f64(p)).collect();
        self.0.transform_row(&params, noise, z, log_q);
        params
    }

    fn evaluation_from_scores(
        &mut self,
        placed: Vec<T>,
        _: &[f64],
        draws: &ScoredDraws<'_, T>,
        request: EvaluationRequest,
    ) -> Evaluation {
        let mut gradient = vec![T::default(); placed.len()];
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
            gradient: LossGradient::Params(gradient.iter().map(|&g| -g.to_f64()).collect()),
        }
    }
}

/// The evaluation of a Gaussian with this `gradient`, and with `−L` if it is requested.
fn gaussian_evaluation<T>(
    gradient: LossGradient,
    params: &[f64],
    dim: usize,
    draws: &ScoredDraws<'_, T>,
    request: EvaluationRequest,
) -> Evaluation {
    let loss = || gaussian_negative_elbo(params, dim, draws);
    Evaluation {
        loss: request.loss.then(loss),
        evidence_gap: None,
        gradient,
    }
}

/// `−L` of a Gaussian, nats. In its `λ`, the mean is followed by `log σ` or `log diag L`.
fn gaussian_negative_elbo<T>(params: &[f64], dim: usize, draws: &ScoredDraws<'_, T>) -> f64 {
    let mean = draws.log_joint.iter().sum::<f64>() / draws.log_joint.len() as f64;
    -mean - gaussian_entropy_nats(&params[dim..2 * dim])
}

/// The entropy of a Gaussian with this `log σ`, or `log diag L`, nats.
fn gaussian_entropy_nats(log_stds: &[f64]) -> f64 {
    log_stds.iter().sum::<f64>() + 0.5 * log_stds.len() as f64 * (TAU * E).ln()
}
