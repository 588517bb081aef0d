//! The interface of an objective, and the draws from encoders' `q`s that it is estimated from.

use crate::family::{VariationalFamily, VariationalParams};
use crate::inference::InferError;
use gap_model::LatentVariableModel;
use tch::{Kind, Tensor};

/// What a fit of an encoder to a frozen model raises.
pub trait TrainingObjective {
    /// The number of draws of a datapoint that one estimate weighs against each other, `K`.
    fn draws_per_estimate(&self) -> u32 {
        1
    }

    /// Returns an estimate of the objective's gradient in the `λ` of each datapoint, `[B, Q]`, the mean over
    /// all sets of `K` draws.
    ///
    /// # Errors
    ///
    /// [`InferError::Model`] if sizes do not fit.
    ///
    /// # Panics
    ///
    /// If the family cannot serve the objective, which a checked spec rules out.
    fn gradient(
        &self,
        model: &dyn LatentVariableModel,
        draws: &EncoderDraws<'_>,
    ) -> Result<Tensor, InferError>;
}

/// Draws from the `q`s that an encoder gives for some observations, as the noise that they are made from.
#[derive(Clone, Copy)]
pub struct EncoderDraws<'a> {
    /// The family of the `q`s.
    pub family: &'a dyn VariationalFamily,
    /// The observations, `[B, X]`.
    pub x: &'a Tensor,
    /// The encoder's output, `[B, Q]`.
    pub params: &'a VariationalParams,
    /// Standard normals, `[S, B, N]`: one set of `K` draws after the other.
    pub noise: &'a Tensor,
}

impl EncoderDraws<'_> {
    /// Returns `Σ_k c_k (∂z_k/∂λ)ᵀ ∇_z log w(z_k)` with the importance weights `w(z) = p(x, z) / q(z)`, the
    /// mean over sets of `n_importance` draws, `[B, Q]`. `coefficients` computes the `c` from the normalised
    /// weights of each set: `[S / K, K, B] -> [S / K, K, B]`.
    pub(super) fn weighted_path_gradient(
        &self,
        model: &dyn LatentVariableModel,
        n_importance: u32,
        coefficients: impl Fn(&Tensor) -> Tensor,
    ) -> Result<Tensor, InferError> {
        let _no_grad = tch::no_grad_guard();
        let density = self.family.evaluable_density();
        let density = density.expect("a spec that asks for weights has a family with a density");
        let draws = self.family.transform(self.params, self.noise);
        let [n_draws, batch] = [draws.z.size()[0], draws.z.size()[1]];
        // Row s·B + b of the draws belongs to observation b.
        let observations: Vec<i64> = (0..n_draws * batch).map(|row| row % batch).collect();
        let rows = draws.z.reshape([-1, self.family.latent_dim()]);
        let joint = model
            .condition(self.x)?
            .log_joint_and_score(&observations, &rows)?;
        let log_w = joint.log_joint.view([n_draws, batch]) - &draws.log_q;
        let score = joint.score.view_as(&draws.z); // [S, B, D]
        let sets = log_w.view([-1, i64::from(n_importance), batch]); // [S / K, K, B]
        let n_sets = sets.size()[0];
        let normalised = sets.softmax(1, Kind::Double);
        let weights = coefficients(&normalised).view([n_draws, batch]) / n_sets as f64;
        let weights = weights.to_kind(score.kind());
        Ok(density.weighted_path_gradient(self.params, self.noise, &score, &weights))
    }
}
