//! The result of every inference method: parameters, the reason for stopping, and the cost.

use crate::family::{VariationalFamily, VariationalParams};
use crate::remaining::Remaining;
use gap_data::Batch;
use gap_model::{LatentVariableModel, ModelError};
use gap_spec::StepRule;
use gap_torch::SeedKey;

/// Why inference failed. A non-finite value in the search for one `q` is no error: see [`StopReason`].
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The model returned an error.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A step rule was used with a family that it does not support.
    #[error("`{rule}` takes the steps of another family; take `adam`")]
    Rule {
        /// The rule.
        rule: StepRule,
    },
    /// An encoder's output is no `λ` of the family for each observation.
    #[error("the encoder's output is {given}, and the family needs {needed}")]
    Encoded {
        /// The axes and the kind of the output.
        given: String,
        /// Those of the family.
        needed: String,
    },
    /// The checkpoint of a fit cannot be kept.
    #[error("a checkpoint cannot be kept: {message}")]
    Checkpoint {
        /// Why.
        message: String,
    },
    /// The weights of a fit stopped being finite.
    #[error(
        "fitting the {what} diverged at step {step} of {steps}; lower the learning rate `{key}`"
    )]
    Diverged {
        /// What was fitted: `encoder`, or `decoder` (jointly with its encoder).
        what: &'static str,
        /// The number of steps after which this was found.
        step: u32,
        /// The number of steps that the fit was to take.
        steps: u32,
        /// The configuration key of the learning rate.
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
    /// The search ended with the bound above the tolerance: its steps were spent, or its own rule stopped it.
    BudgetSpent {
        /// Steps taken.
        steps: u32,
        /// The estimated distance.
        remaining: Remaining,
    },
    /// An evaluation was not finite; the parameters are the last finite ones.
    NonFinite {
        /// The step of that evaluation.
        step: u32,
    },
}

/// What a datapoint's `q` cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FitCost {
    /// Its share of the wall time, seconds: a step's time is divided among the datapoints in it.
    pub seconds: f64,
    /// The number of joint gradients `∇_z log p(x, z)`.
    pub joint_gradients: u64,
}

/// One `q` for each datapoint of a batch.
#[derive(Debug)]
pub struct FittedBatch {
    /// `λ`, `[B, Q]`.
    pub params: VariationalParams,
    /// Why each search ended: `[B]`.
    pub stops: Vec<StopReason>,
    /// The cost of each `q`: `[B]`.
    pub costs: Vec<FitCost>,
}

/// A method of finding `q(z)` for each datapoint of a batch.
pub trait Inference {
    /// The family that `q` comes from.
    fn variational_family(&self) -> &dyn VariationalFamily;

    /// Finds one `q` for each datapoint, which does not depend on the others.
    fn infer(
        &self,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<FittedBatch, InferError>;
}
