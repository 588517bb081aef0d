//! A decoder at fixed observations, computed by the kernels.

use super::packing::to_f32_vec;
use crate::conditioned::{ConditionedModel, JointAndScore, check_observation_rows};
use crate::model_error::ModelError;
use crate::standard_normal::log_prior;
use gap_kernel::{DecoderOutputs, FusedConditionedDecoder, FusedDecoder};
use tch::Tensor;

/// A fused decoder at fixed observations.
pub(crate) struct DecoderOnKernels {
    decoder: FusedConditionedDecoder,
    n_observations: i64,
    latent_dim: i64,
}

impl DecoderOnKernels {
    /// Conditions `decoder` on the rows of `x`, `[B, X]`, whose sizes the caller has checked.
    pub(crate) fn new(decoder: &FusedDecoder, latent_dim: i64, x: &Tensor) -> Self {
        Self {
            decoder: decoder.condition(&to_f32_vec(x)),
            n_observations: x.size()[0],
            latent_dim,
        }
    }

    /// The score: `[N], [N, D] -> [N, D]`. The caller has checked sizes and observations.
    pub(crate) fn score_rows(&self, observations: &[usize], z: &Tensor) -> Tensor {
        let z = to_f32_vec(z);
        let mut score = vec![0.0; z.len()];
        let outputs = DecoderOutputs {
            score: Some(&mut score),
            ..DecoderOutputs::default()
        };
        self.decoder.evaluate(observations, &z, outputs);
        Tensor::from_slice(&score).view([-1, self.latent_dim])
    }

    /// `log p(x | z)`, `f64`: `[N], [N, D] -> [N]`. The caller has checked sizes and observations.
    pub(crate) fn log_likelihood_rows(&self, observations: &[usize], z: &Tensor) -> Tensor {
        let mut values = vec![0.0; observations.len()];
        let outputs = DecoderOutputs {
            log_likelihood: Some(&mut values),
            ..DecoderOutputs::default()
        };
        self.decoder.evaluate(observations, &to_f32_vec(z), outputs);
        Tensor::from_slice(&values)
    }

    fn checked_observations(
        &self,
        observations: &[i64],
        z: &Tensor,
    ) -> Result<Vec<usize>, ModelError> {
        check_observation_rows(self.n_observations, self.latent_dim, observations, z)?;
        Ok(observations.iter().map(|&row| row as usize).collect())
    }
}

impl ConditionedModel for DecoderOnKernels {
    fn kernel_decoder(&self) -> Option<&FusedConditionedDecoder> {
        Some(&self.decoder)
    }

    fn score(&mut self, observations: &[i64], z: &Tensor) -> Result<Tensor, ModelError> {
        Ok(self.score_rows(&self.checked_observations(observations, z)?, z))
    }

    fn log_joint(&mut self, observations: &[i64], z: &Tensor) -> Result<Tensor, ModelError> {
        let observations = self.checked_observations(observations, z)?;
        Ok(self.log_likelihood_rows(&observations, z) + log_prior(&z.detach()))
    }

    fn log_joint_and_score(
        &mut self,
        observations: &[i64],
        z: &Tensor,
    ) -> Result<JointAndScore, ModelError> {
        let observations = self.checked_observations(observations, z)?;
        let rows = to_f32_vec(z);
        let (mut score, mut values) = (vec![0.0; rows.len()], vec![0.0; observations.len()]);
        let outputs = DecoderOutputs {
            score: Some(&mut score),
            log_likelihood: Some(&mut values),
            ..DecoderOutputs::default()
        };
        self.decoder.evaluate(&observations, &rows, outputs);
        Ok(JointAndScore {
            log_joint: Tensor::from_slice(&values) + log_prior(&z.detach()),
            score: Tensor::from_slice(&score).view([-1, self.latent_dim]),
        })
    }
}
