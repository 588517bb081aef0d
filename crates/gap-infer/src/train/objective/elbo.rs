//! The evidence lower bound (Kingma and Welling 2014, §2.2).

use super::interface::{EncoderDraws, TrainingObjective};
use crate::inference::InferError;
use gap_model::LatentVariableModel;
use tch::Tensor;

/// `L[q] = E_q[log p(x, z) − log q(z)]`, which lowers `KL(q ‖ p(z | x))`.
#[derive(Clone, Copy, Debug)]
pub struct Elbo;

impl Elbo {
    /// Returns the gradient from the score at the draws: `[S, B, D] -> [B, Q]`.
    pub(in crate::train) fn gradient_from_score(
        draws: &EncoderDraws<'_>,
        score: &Tensor,
    ) -> Tensor {
        draws.family.pull_back(draws.params, draws.noise, score)
    }
}

impl TrainingObjective for Elbo {
    fn gradient(
        &self,
        model: &dyn LatentVariableModel,
        draws: &EncoderDraws<'_>,
    ) -> Result<Tensor, InferError> {
        let z = draws.family.transform(draws.params, draws.noise).z; // [S, B, D]
        let score = model.score(draws.x, &z)?;
        Ok(Self::gradient_from_score(draws, &score))
    }
}
