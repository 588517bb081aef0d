//! The wake phase of reweighted wake-sleep for `q` (Bornschein and Bengio 2015, "Reweighted Wake-Sleep", the
//! wake-phase update of `q`).

use super::interface::{EncoderDraws, TrainingObjective};
use crate::inference::InferError;
use gap_model::LatentVariableModel;
use tch::Tensor;

/// `E[log q(z)]` under the posterior, which lowers the forward divergence `KL(p(z | x) ‖ q)`; the expectation
/// is estimated by self-normalised importance weights of `K` draws from `q`.
///
/// Its gradient is `E[Σ w̃_k ∂_λ log q(z_k)]`, where the draws and their normalised weights `w̃` are held
/// fixed. This score function is reparameterised as in [`super::ImportanceWeighted`], which leaves its
/// expectation at every `K` as it is and takes most of its noise: `E[Σ (w̃_k − w̃_k²) ∇_z log w_k ∂z_k/∂λ]`
/// (Tucker, Lawson, Gu and Maddison 2019, the estimator for reweighted wake-sleep). Normalised weights are
/// biased, by a part that falls as `1/K`: with one draw the gradient is zero.
#[derive(Clone, Copy, Debug)]
pub struct ReweightedWake {
    /// The number of draws, `K`.
    pub n_importance: u32,
}

impl TrainingObjective for ReweightedWake {
    fn draws_per_estimate(&self) -> u32 {
        self.n_importance
    }

    fn gradient(
        &self,
        model: &dyn LatentVariableModel,
        draws: &EncoderDraws<'_>,
    ) -> Result<Tensor, InferError> {
        draws.weighted_path_gradient(model, self.n_importance, |normalised| {
            normalised - normalised.square()
        })
    }
}
