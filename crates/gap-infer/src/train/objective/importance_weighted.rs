//! The importance-weighted bound of several draws (Burda, Grosse and Salakhutdinov 2016, §3).

use super::interface::{EncoderDraws, TrainingObjective};
use crate::inference::InferError;
use gap_model::LatentVariableModel;
use tch::Tensor;

/// `IW_K = E[log 1/K Σ_k w_k]` with `w_k = p(x, z_k) / q(z_k)` and `K` draws from `q`; with one draw it is the
/// ELBO.
///
/// The gradient is the doubly reparameterised one (Tucker, Lawson, Gu and Maddison 2019, "Doubly
/// Reparameterized Gradient Estimators for Monte Carlo Objectives", the estimator for IWAE). With `w̃` the
/// normalised weights, `∇_λ IW_K = E[Σ w̃_k (∇_z log w_k ∂z_k/∂λ − ∂_λ log q(z_k))]`. The last term is a score
/// function, whose expectation is a second reparameterisation's: `E[f(z_k) ∂_λ log q(z_k)] = E[∇_z f ∂z_k/∂λ]`
/// with `f = w̃_k`, whose gradient is `(w̃_k − w̃_k²) ∇_z log w_k`. Together they are
/// `E[Σ w̃_k² ∇_z log w_k ∂z_k/∂λ]`. Relative to its mean, the noise of this estimate does not grow with `K`, as
/// that of the plain one does, and at the exact posterior it is zero for every draw.
#[derive(Clone, Copy, Debug)]
pub struct ImportanceWeighted {
    /// The number of draws, `K`.
    pub n_importance: u32,
}

impl TrainingObjective for ImportanceWeighted {
    fn draws_per_estimate(&self) -> u32 {
        self.n_importance
    }

    fn gradient(
        &self,
        model: &dyn LatentVariableModel,
        draws: &EncoderDraws<'_>,
    ) -> Result<Tensor, InferError> {
        draws.weighted_path_gradient(model, self.n_importance, Tensor::square)
    }
}
