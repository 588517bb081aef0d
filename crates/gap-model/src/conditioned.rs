//! A model at fixed observations: prepared once, then evaluated many times at some or all of them.
//!
//! Free-form inference takes thousands of steps at the same datapoints, and drops those that have finished.
//! What depends on the observations alone is computed once, and memory is reused from one evaluation to the
//! next.

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

/// `log p(x, ·)` at fixed observations, made by [`crate::LatentVariableModel::condition`].
///
/// Row `n` of `z` (`[N, D]`) belongs to observation `observations[n]`, a row number of the `x` that the model
/// was conditioned on. Any number of rows, in any order, may name the same observation. The results carry no
/// graph and have their own memory, which later calls do not change.
pub trait ConditionedModel {
    /// The decoder on the kernels, which evaluates rows in slices; `None` if libtorch does the computation. The
    /// decoder's log likelihood does not include the prior, which is a standard normal.
    fn kernel_decoder(&self) -> Option<&FusedConditionedDecoder> {
        None
    }

    /// `∇_z log p(x, z)`, in the model's kind: `[N], [N, D] -> [N, D]`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the axes do not fit, or an observation does not exist.
    fn score(&mut self, observations: &[i64], z: &Tensor) -> Result<Tensor, ModelError>;

    /// `log p(x, z)`, nats, `f64`: `[N], [N, D] -> [N]`.
    ///
    /// # Errors
    ///
    /// As [`ConditionedModel::score`].
    fn log_joint(&mut self, observations: &[i64], z: &Tensor) -> Result<Tensor, ModelError>;

    /// The log joint and the score together: `[N], [N, D] -> [N], [N, D]`.
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

/// Checks the rows of one evaluation: `observations` must be `N` numbers below `n_observations` and not
/// negative, and `z` must be `[N, D]`.
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
