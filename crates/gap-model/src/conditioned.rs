//! A model at fixed observations: prepared once, then asked many times for a changing part of them.
//!
//! Free-form inference takes thousands of steps at the same datapoints, and drops those that are
//! done. What depends on the observations alone is computed once, and the memory of one evaluation
//! serves the next.

use crate::model_error::ModelError;
use gap_kernel::FusedConditionedDecoder;
use gap_torch::dims;
use tch::Tensor;

/// The log joint of some rows, and its gradient.
#[derive(Debug)]
pub struct JointAndScore {
    /// `log p(x, z)`, nats, `f64`: `[N]`.
    pub log_joint: Tensor,
    /// `∇_z log p(x, z)`, in the model's kind: `[N, D]`.
    pub score: Tensor,
}

/// `log p(x, ·)` at fixed observations: [`crate::LatentVariableModel::condition`] makes it.
///
/// Row `n` of `z` (`[N, D]`) belongs to observation `observations[n]`, a row number of the `x` that
/// the model was conditioned on; any number of rows, in any order, may name the same one. The
/// results carry no graph and are tensors of their own, which later calls leave alone.
pub trait ConditionedModel {
    /// The same on the kernels, without tensors in between, where it is on them. Its log likelihood
    /// lacks the prior, a standard normal.
    fn kernel_decoder(&self) -> Option<&FusedConditionedDecoder> {
        None
    }

    /// `∇_z log p(x, z)`, in the model's kind: `[N], [N, D] -> [N, D]`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the axes do not fit, or for an observation that is not there.
    fn score(&mut self, observations: &[i64], z: &Tensor) -> Result<Tensor, ModelError>;

    /// `log p(x, z)`, nats, `f64`: `[N], [N, D] -> [N]`.
    ///
    /// # Errors
    ///
    /// As [`ConditionedModel::score`].
    fn log_joint(&mut self, observations: &[i64], z: &Tensor) -> Result<Tensor, ModelError>;

    /// The score, and the log joint with it: `[N], [N, D] -> [N], [N, D]`.
    ///
    /// # Errors
    ///
    /// As [`ConditionedModel::score`].
    fn log_joint_and_score(
        &mut self,
        observations: &[i64],
        z: &Tensor,
    ) -> Result<JointAndScore, ModelError>;
}

/// Checks the rows of one evaluation: `[N]` numbers below `n_observations`, `z` of `[N, D]`.
pub(crate) fn check_observation_rows(
    n_observations: i64,
    latent_dim: i64,
    observations: &[i64],
    z: &Tensor,
) -> Result<(), ModelError> {
    let [n_rows, latent] = dims("z", z, ["N", "D"])?;
    for (what, model, given) in [
        ("D", latent_dim, latent),
        ("N", observations.len() as i64, n_rows),
    ] {
        if model != given {
            return Err(ModelError::Size { what, model, given });
        }
    }
    match observations
        .iter()
        .find(|&row| !(0..n_observations).contains(row))
    {
        Some(&observation) => Err(ModelError::NoSuchObservation {
            observation,
            n_observations,
        }),
        None => Ok(()),
    }
}
