//! What every way of finding `q` gives back: parameters, why it stopped, what it cost.

use crate::family::{VariationalFamily, VariationalParams};
use crate::remaining::Remaining;
use gap_data::Batch;
use gap_model::{LatentVariableModel, ModelError};
use gap_spec::StepRule;
use gap_torch::SeedKey;

/// Inference could not be carried out. Bad numerics are not errors: see [`StopReason`].
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The model refused.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A step rule was to be taken for a family that it does not know.
    #[error("`{rule}` takes the steps of another family; take `adam`")]
    Rule {
        /// The rule.
        rule: StepRule,
    },
    /// A fit left the finite numbers.
    #[error(
        "fitting the {what} diverged at step {step} of {steps}; lower the learning rate `{key}`"
    )]
    Diverged {
        /// What was fitted: an encoder, or a model with one.
        what: &'static str,
        /// At which step.
        step: u32,
        /// Of how many.
        steps: u32,
        /// The key of its learning rate.
        key: &'static str,
    },
}

/// Why the search for a datapoint's `q` ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StopReason {
    /// There was no search: one forward pass, or a fixed number of steps.
    Direct {
        /// The number of steps, 0 for a forward pass.
        steps: u32,
    },
    /// The bound on the distance to the optimum is below the tolerance.
    Converged {
        /// Steps taken.
        steps: u32,
        /// The estimated distance.
        remaining: Remaining,
    },
    /// The search ended before that: its steps were spent, or its own rule stopped it.
    BudgetSpent {
        /// Steps taken.
        steps: u32,
        /// The estimated distance.
        remaining: Remaining,
    },
    /// A gradient stopped being finite; the parameters are the last finite ones.
    NonFinite {
        /// The step at which it did.
        step: u32,
    },
}

/// What a datapoint's `q` cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FitCost {
    /// Its share of the wall time, seconds: a step's time is divided among the datapoints in it.
    pub seconds: f64,
    /// Joint gradients `∇_z log p(x, z)`.
    pub joint_gradients: u64,
}

/// One `q` for each datapoint of a batch.
#[derive(Debug)]
pub struct FittedBatch {
    /// `λ`, `[B, Q]`.
    pub params: VariationalParams,
    /// Why each search ended, `B` of them.
    pub stops: Vec<StopReason>,
    /// What each cost, `B` of them.
    pub costs: Vec<FitCost>,
}

/// A way of finding `q(z)` for each datapoint of a batch.
pub trait Inference {
    /// The family that `q` comes from.
    fn variational_family(&self) -> &dyn VariationalFamily;

    /// One `q` for each datapoint; none depends on the others.
    ///
    /// # Errors
    ///
    /// [`InferError`] if sizes do not fit.
    fn infer(
        &self,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<FittedBatch, InferError>;
}
