//! The interface of models, and the interface of models whose evidence and posterior have closed forms.

use crate::conditioned::{ConditionedModel, JointAndScore, check_observation_rows};
use crate::model_error::ModelError;
use gap_torch::{NoiseStream, SeedKey, dims};
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// The most rows that a [`GenericConditionedModel`] passes to its model at once. About 1,000 rows need little
/// memory and run at full speed.
const MAX_CHUNK_ROWS: usize = 1024;

/// A frozen model `p(x, z)` with a standard-normal or other known prior.
///
/// No method mixes datapoints: the results for a datapoint do not depend on the rest of the batch, to the
/// last bit. Models are `Send` but need not be `Sync`: each worker loads its own copy.
pub trait LatentVariableModel: Send {
    /// The latent dimension, `D`.
    fn latent_dim(&self) -> i64;

    /// The length of an observation, `X`, with its context columns.
    fn observed_dim(&self) -> i64;

    /// The number of context columns, which are the last columns of an observation. They are conditioned on,
    /// not modelled: in a series, they are the preceding observation. The model is then `p(x, z | context)`,
    /// and an encoder may be shown the context or not.
    fn n_context_columns(&self) -> i64 {
        0
    }

    /// The device of the model's tensors.
    fn device(&self) -> Device;

    /// The kind of the model's tensors; observations and draws must have the same kind.
    fn kind(&self) -> Kind;

    /// Whether the model runs on the kernels once it is conditioned, so that
    /// [`crate::JointRowEvaluator::is_on_kernels`] holds. A model that cannot promise this returns `false`.
    fn is_on_kernels(&self) -> bool {
        false
    }

    /// `log p(x, z)`, nats, summed in `f64`: `[B, X], [S, B, D] -> [S, B]`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the axes do not fit the model.
    fn log_joint(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError>;

    /// The joint gradient `∇_z log p(x, z)`, without a graph: `[B, X], [S, B, D] -> [S, B, D]`.
    ///
    /// The default implementation uses automatic differentiation.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the axes do not fit the model.
    fn score(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        score_by_autograd(self, x, z)
    }

    /// Prepares the model for many evaluations at the rows of `x` (`[B, X]`); `x` may change afterwards.
    ///
    /// The default implementation calls the model's own `log_joint` and `score`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the axes do not fit the model.
    fn condition<'a>(&'a self, x: &Tensor) -> Result<Box<dyn ConditionedModel + 'a>, ModelError> {
        Ok(Box::new(GenericConditionedModel::new(self, x)?))
    }

    /// Draws one `(x, z)` from the model for each stream of `noise`: `[B, X], [B, D]`. Only synthetic data and
    /// annealing of simulated points need it.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the model cannot be drawn from; the default implementation cannot.
    fn sample_joint(&self, _noise: &mut NoiseStream) -> Result<(Tensor, Tensor), ModelError> {
        Err(ModelError::CannotBeSampled)
    }

    /// Draws the points `ids` of an endless data set that the model and `key` define: `[N, X], [N, D]`.
    ///
    /// The default implementation draws each point independently, from the noise stream of its id. A model of
    /// a series draws its points in order, so that neighbours in `ids` are neighbours in the series.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the model cannot be drawn from.
    fn sample_points(&self, key: SeedKey, ids: Range<u64>) -> Result<(Tensor, Tensor), ModelError> {
        let ids: Vec<u64> = ids.collect();
        self.sample_joint(&mut NoiseStream::new(key, &ids, self.device()))
    }

    /// Checks that the likelihood has a density at every row of `x` (`[B, X]`). The default implementation accepts
    /// all observations.
    ///
    /// # Errors
    ///
    /// [`ModelError::OffSupport`] for the first row where it has none.
    fn check_support(&self, _x: &Tensor) -> Result<(), ModelError> {
        Ok(())
    }

    /// The closed forms of the evidence and the posterior, if the model has them.
    fn exact_posterior(&self) -> Option<&dyn ExactPosterior> {
        None
    }
}

/// A model whose evidence and Gaussian posterior have closed forms: the oracle that estimators are tested
/// against.
pub trait ExactPosterior: LatentVariableModel {
    /// `log p(x)`, nats, `f64`: `[B, X] -> [B]`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the axes do not fit the model.
    fn log_evidence(&self, x: &Tensor) -> Result<Tensor, ModelError>;

    /// Mean `[B, D]` and covariance `[D, D]` of `p(z | x)`, `f64`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the axes do not fit the model.
    fn posterior_moments(&self, x: &Tensor) -> Result<(Tensor, Tensor), ModelError>;
}

/// `∇_z log p(x, z)` by automatic differentiation of [`LatentVariableModel::log_joint`].
///
/// # Errors
///
/// As [`LatentVariableModel::log_joint`].
pub fn score_by_autograd<M: LatentVariableModel + ?Sized>(
    model: &M,
    x: &Tensor,
    z: &Tensor,
) -> Result<Tensor, ModelError> {
    let gradients = tch::with_grad(|| {
        let z = z.detach().set_requires_grad(true);
        let total = model.log_joint(x, &z)?.sum(Kind::Double);
        Ok::<_, ModelError>(Tensor::run_backward(&[total], &[&z], false, false))
    })?;
    Ok(gradients
        .into_iter()
        .next()
        .expect("one gradient for one input"))
}

/// Checks `x` (`[B, X]`) and `z` (`[S, B, D]`) against a model's sizes, and returns `[S, B]`.
pub(crate) fn check_sizes(
    model: &(impl LatentVariableModel + ?Sized),
    x: &Tensor,
    z: &Tensor,
) -> Result<[i64; 2], ModelError> {
    let [batch, observed] = dims("x", x, ["B", "X"])?;
    let [n_samples, z_batch, latent] = dims("z", z, ["S", "B", "D"])?;
    for (what, model, given) in [
        ("X", model.observed_dim(), observed),
        ("D", model.latent_dim(), latent),
        ("B", batch, z_batch),
    ] {
        if model != given {
            return Err(ModelError::Size { what, model, given });
        }
    }
    Ok([n_samples, batch])
}

/// Checks `x` (`[B, X]`) against a model's size, and returns `B`.
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

/// Any model at fixed observations, evaluated by its [`LatentVariableModel`] methods.
pub struct GenericConditionedModel<'a, M: ?Sized> {
    model: &'a M,
    x: Tensor, // [B, X]
}

impl<'a, M: LatentVariableModel + ?Sized> GenericConditionedModel<'a, M> {
    /// Conditions `model` on the rows of `x`, `[B, X]`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the axes do not fit the model.
    pub fn new(model: &'a M, x: &Tensor) -> Result<Self, ModelError> {
        check_observed(model, x)?;
        let x = x.detach().copy();
        Ok(Self { model, x })
    }

    /// Calls `f` with the observations, `[N, X]`, and the draws, `[1, N, D]`, of each chunk of rows.
    fn for_each_chunk(
        &self,
        observations: &[i64],
        z: &Tensor,
        mut f: impl FnMut(&Tensor, &Tensor) -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        check_observation_rows(self.x.size()[0], self.model.latent_dim(), observations, z)?;
        let _no_grad = tch::no_grad_guard();
        let mut start = 0;
        for chunk in observations.chunks(MAX_CHUNK_ROWS) {
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

impl<M: LatentVariableModel + ?Sized> ConditionedModel for GenericConditionedModel<'_, M> {
    fn score(&mut self, observations: &[i64], z: &Tensor) -> Result<Tensor, ModelError> {
        let mut scores = vec![self.empty_rows(self.model.kind(), &[0, self.model.latent_dim()])];
        self.for_each_chunk(observations, z, |x, z| {
            scores.push(self.model.score(x, z)?.squeeze_dim(0));
            Ok(())
        })?;
        Ok(Tensor::cat(&scores, 0))
    }

    fn log_joint(&mut self, observations: &[i64], z: &Tensor) -> Result<Tensor, ModelError> {
        let mut log_joints = vec![self.empty_rows(Kind::Double, &[0])];
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

impl<M: ?Sized> GenericConditionedModel<'_, M> {
    /// Returns a result for zero rows, so that there is always a tensor to concatenate.
    fn empty_rows(&self, kind: Kind, shape: &[i64]) -> Tensor {
        Tensor::zeros(shape, (kind, self.x.device()))
    }
}
