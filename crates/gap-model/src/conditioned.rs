//! A model at fixed observations: prepared once, then asked many times for a changing part of them.
//!
//! Free-form inference takes thousands of steps at the same datapoints, and drops those that are
//! done. What depends on the observations alone is computed once, and the memory of one evaluation
//! serves the next. Here is what any model can do; a model that knows better brings its own
//! [`ConditionedModel`].

use crate::model::{LatentVariableModel, ModelError};
use gap_kernel::ConditionedDecoder;
use gap_torch::dims;
use tch::{Kind, Tensor};

/// Rows that an unprepared model gets at once: near 1,000 the memory is small and the speed full.
const CHUNK_ROWS: usize = 1024;

/// The log joint of some rows, and its gradient.
#[derive(Debug)]
pub struct JointAndScore {
    /// `log p(x, z)`, nats, `f64`: `[N]`.
    pub log_joint: Tensor,
    /// `∇_z log p(x, z)`, in the model's kind: `[N, D]`.
    pub score: Tensor,
}

/// `log p(x, ·)` at fixed observations: [`LatentVariableModel::condition`] makes it.
///
/// Row `n` of `z` (`[N, D]`) belongs to observation `observations[n]`, a row number of the `x` that
/// the model was conditioned on; any number of rows, in any order, may name the same one. The
/// results carry no graph and are tensors of their own, which later calls leave alone.
pub trait ConditionedModel {
    /// The same on the kernels, without tensors in between, where it is on them. Its log likelihood
    /// lacks the prior, a standard normal.
    fn on_kernels(&self) -> Option<&ConditionedDecoder> {
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

/// Any model at fixed observations, by way of its [`LatentVariableModel`] methods.
pub struct Unprepared<'a, M: ?Sized> {
    model: &'a M,
    x: Tensor, // [B, X]
}

impl<'a, M: LatentVariableModel + ?Sized> Unprepared<'a, M> {
    /// `model` at the rows of `x`, `[B, X]`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the axes do not fit the model.
    pub fn new(model: &'a M, x: &Tensor) -> Result<Self, ModelError> {
        check_observed(model, x)?;
        let x = x.detach().copy();
        Ok(Self { model, x })
    }

    /// `f` of each chunk's observations, `[1, N, D]` draws and `[N, X]` data.
    fn for_each_chunk(
        &self,
        observations: &[i64],
        z: &Tensor,
        mut f: impl FnMut(&Tensor, &Tensor) -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        check_rows(self.x.size()[0], self.model.latent_dim(), observations, z)?;
        let _no_grad = tch::no_grad_guard();
        let mut start = 0;
        for chunk in observations.chunks(CHUNK_ROWS) {
            let rows = chunk.len() as i64;
            let index = Tensor::from_slice(chunk).to_device(self.x.device());
            f(
                &self.x.index_select(0, &index),
                &z.narrow(0, start, rows).unsqueeze(0),
            )?;
            start += rows;
        }
        Ok(())
    }
}

impl<M: LatentVariableModel + ?Sized> ConditionedModel for Unprepared<'_, M> {
    fn score(&mut self, observations: &[i64], z: &Tensor) -> Result<Tensor, ModelError> {
        let mut scores = vec![self.no_rows(self.model.kind(), &[0, self.model.latent_dim()])];
        self.for_each_chunk(observations, z, |x, z| {
            scores.push(self.model.score(x, z)?.squeeze_dim(0));
            Ok(())
        })?;
        Ok(Tensor::cat(&scores, 0))
    }

    fn log_joint(&mut self, observations: &[i64], z: &Tensor) -> Result<Tensor, ModelError> {
        let mut log_joints = vec![self.no_rows(Kind::Double, &[0])];
        self.for_each_chunk(observations, z, |x, z| {
            log_joints.push(self.model.log_joint(x, z)?.squeeze_dim(0));
            Ok(())
        })?;
        Ok(Tensor::cat(&log_joints, 0))
    }

    fn log_joint_and_score(
        &mut self,
        observations: &[i64],
        z: &Tensor,
    ) -> Result<JointAndScore, ModelError> {
        Ok(JointAndScore {
            log_joint: self.log_joint(observations, z)?,
            score: self.score(observations, z)?,
        })
    }
}

impl<M: ?Sized> Unprepared<'_, M> {
    /// What no rows give, so that there is always something to put together.
    fn no_rows(&self, kind: Kind, shape: &[i64]) -> Tensor {
        Tensor::zeros(shape, (kind, self.x.device()))
    }
}

/// Checks `x` (`[B, X]`) against a model's size, and gives `B`.
pub(crate) fn check_observed(
    model: &(impl LatentVariableModel + ?Sized),
    x: &Tensor,
) -> Result<i64, ModelError> {
    let [n_observations, given] = dims("x", x, ["B", "X"])?;
    let model = model.observed_dim();
    if model != given {
        let what = "X";
        return Err(ModelError::Size { what, model, given });
    }
    Ok(n_observations)
}

/// Checks the rows of one evaluation: `[N]` numbers below `n_observations`, `z` of `[N, D]`.
pub(crate) fn check_rows(
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
