//! What a model must answer, and what a model with closed forms answers besides.

use crate::conditioned::{ConditionedModel, Unprepared};
use gap_kernel::FusedDecoder;
use gap_torch::{DimsError, NoiseStream, SeedKey, dims};
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// A model was asked something that it cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A tensor has other axes than it should.
    #[error(transparent)]
    Dims(#[from] DimsError),
    /// An observation lies where the likelihood has no density.
    #[error(
        "{likelihood} needs observations that are {needs}, but datapoint {row} of the batch holds {value}"
    )]
    OffSupport {
        /// The likelihood.
        likelihood: &'static str,
        /// Its support.
        needs: &'static str,
        /// The first offending row of the batch.
        row: i64,
        /// The offending value.
        value: f64,
    },
    /// Sizes do not fit together.
    #[error("the model has {what} = {model}, but was given {given}")]
    Size {
        /// Which size.
        what: &'static str,
        /// The model's.
        model: i64,
        /// What was given.
        given: i64,
    },
    /// A row names an observation that the model was not conditioned on.
    #[error(
        "observation {observation} was asked of a model at {n_observations} observations, numbered from 0"
    )]
    NoSuchObservation {
        /// The number that was asked for.
        observation: i64,
        /// How many there are.
        n_observations: i64,
    },
    /// A stored model cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] gap_torch::checkpoint::CheckpointError),
}

/// A frozen `p(x, z)` with a standard-normal or other known prior.
///
/// No method mixes datapoints: what is said of one does not depend on the rest of the batch, to the
/// last bit. `Send`, not `Sync`: each worker loads its own copy.
pub trait LatentVariableModel: Send {
    /// `D`.
    fn latent_dim(&self) -> i64;

    /// `X`.
    fn observed_dim(&self) -> i64;

    /// How many of the last columns of an observation are given, not explained: of a series, what came
    /// before. The model is then `p(x, z | context)`, and an encoder may be shown the context or not.
    fn context_columns(&self) -> i64 {
        0
    }

    /// Where the model's tensors are.
    fn device(&self) -> Device;

    /// The kind of the model's tensors; observations and draws are given in it.
    fn kind(&self) -> Kind;

    /// The model on the kernels of [`gap_kernel`], if it is a perceptron under a standard normal prior
    /// and they are there for it.
    fn on_kernels(&self) -> Option<&FusedDecoder> {
        None
    }

    /// `log p(x, z)`, nats, summed in `f64`: `[B, X], [S, B, D] -> [S, B]`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the axes do not fit the model.
    fn log_joint(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError>;

    /// The joint gradient `∇_z log p(x, z)`, without a graph: `[B, X], [S, B, D] -> [S, B, D]`.
    ///
    /// By automatic differentiation, unless the model knows better.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the axes do not fit the model.
    fn score(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        score_by_autograd(self, x, z)
    }

    /// The model at the rows of `x` (`[B, X]`), for many evaluations; `x` may change afterwards.
    ///
    /// By way of the methods above, unless the model knows better.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the axes do not fit the model.
    fn condition<'a>(&'a self, x: &Tensor) -> Result<Box<dyn ConditionedModel + 'a>, ModelError> {
        Ok(Box::new(Unprepared::new(self, x)?))
    }

    /// One `(x, z)` for each stream of `noise`, drawn from the model: `[B, X], [B, D]`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the model cannot be drawn from.
    fn sample_joint(&self, noise: &mut NoiseStream) -> Result<(Tensor, Tensor), ModelError>;

    /// The points `ids` of an endless data set that the model and `key` define: `[N, X], [N, D]`.
    ///
    /// Points that do not depend on each other are drawn one by one; a model of a series draws them in their
    /// order, so that neighbours in `ids` are neighbours in the series.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the model cannot be drawn from.
    fn sample_points(&self, key: SeedKey, ids: Range<u64>) -> Result<(Tensor, Tensor), ModelError> {
        let ids: Vec<u64> = ids.collect();
        self.sample_joint(&mut NoiseStream::new(key, &ids, self.device()))
    }

    /// Whether every row of `x` (`[B, X]`) lies where the likelihood has a density.
    ///
    /// # Errors
    ///
    /// [`ModelError::OffSupport`] for the first row that does not.
    fn check_support(&self, x: &Tensor) -> Result<(), ModelError>;

    /// The closed forms, where there are any.
    fn exact(&self) -> Option<&dyn ExactPosterior> {
        None
    }
}

/// A model whose posterior is a Gaussian in closed form: the oracle for every estimator.
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

/// Checks `x` (`[B, X]`) and `z` (`[S, B, D]`) against a model's sizes, and gives `[S, B]`.
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
