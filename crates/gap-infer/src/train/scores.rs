//! Where the score at an encoder's draws comes from: a frozen model, or a decoder that is fitted on the same
//! draws.

use super::step::TrainingStepInputs;
use crate::inference::InferError;
use gap_data::Dataset;
use gap_model::{
    DecoderLearner, JointOutputs, JointRowEvaluator, LatentDraws, LatentVariableModel,
    OptimizerState,
};
use tch::Tensor;

/// Computes `∇_z log p(x, z)` at an encoder's draws. A decoder that is fitted jointly also takes its own step
/// on them.
pub trait ScoreSource: Sized {
    /// Writes the score at draws in plain memory to `score`, `[S·B, D]`.
    fn score_rows(
        &mut self,
        draws: &LatentDraws<'_>,
        step: &TrainingStepInputs,
        score: &mut [f32],
    ) -> Result<(), InferError>;

    /// Returns the score at draws in tensors, without a graph: `[B, X], [S, B, D] -> [S, B, D]`.
    fn score(
        &mut self,
        x: &Tensor,
        z: &Tensor,
        step: &TrainingStepInputs,
    ) -> Result<Tensor, InferError>;

    /// Whether all learned parameters are finite.
    fn is_finite(&mut self) -> bool;

    /// What is learned so far.
    fn states(&mut self) -> Vec<OptimizerState>;

    /// Goes back to what [`ScoreSource::states`] returned; `false`, with nothing changed, if it belongs to another
    /// source.
    #[must_use]
    fn restore(&mut self, states: &[OptimizerState]) -> bool;

    /// Writes the learned parameters into the model, if there are any.
    fn finish(self);
}

/// A model whose parameters are not learned.
pub struct FrozenModel<'a> {
    model: &'a dyn LatentVariableModel,
    /// The evaluator at all observations of the data, present if draws are in plain memory.
    joint: Option<JointRowEvaluator<'a>>,
}

impl<'a> FrozenModel<'a> {
    /// Creates the source of scores of `model` for an encoder of `data`. `is_on_kernels` must be true if
    /// [`ScoreSource::score_rows`] will be called.
    pub fn new(
        model: &'a dyn LatentVariableModel,
        data: &Dataset,
        is_on_kernels: bool,
    ) -> Result<Self, InferError> {
        let joint = is_on_kernels.then(|| JointRowEvaluator::new(model, data.x()));
        Ok(Self {
            model,
            joint: joint.transpose()?,
        })
    }
}

impl ScoreSource for FrozenModel<'_> {
    fn score_rows(
        &mut self,
        draws: &LatentDraws<'_>,
        step: &TrainingStepInputs,
        score: &mut [f32],
    ) -> Result<(), InferError> {
        let joint = self.joint.as_mut();
        let joint = joint.expect("rows are asked about only where they are read");
        let outputs = JointOutputs {
            score: Some(score),
            log_joint: None,
            precision: step.precision,
        };
        Ok(joint.evaluate(draws.observations, draws.z, outputs)?)
    }

    fn score(
        &mut self,
        x: &Tensor,
        z: &Tensor,
        _: &TrainingStepInputs,
    ) -> Result<Tensor, InferError> {
        Ok(self.model.score(x, z)?)
    }

    fn is_finite(&mut self) -> bool {
        true
    }

    fn states(&mut self) -> Vec<OptimizerState> {
        Vec::new()
    }

    fn restore(&mut self, states: &[OptimizerState]) -> bool {
        states.is_empty()
    }

    fn finish(self) {}
}

/// Each call also takes a step of the decoder; the score is that under its weights before the step.
impl ScoreSource for DecoderLearner<'_> {
    fn score_rows(
        &mut self,
        draws: &LatentDraws<'_>,
        step: &TrainingStepInputs,
        score: &mut [f32],
    ) -> Result<(), InferError> {
        self.set_precision(step.precision);
        self.step_rows(draws, step.learning_rate, score);
        Ok(())
    }

    fn score(
        &mut self,
        x: &Tensor,
        z: &Tensor,
        step: &TrainingStepInputs,
    ) -> Result<Tensor, InferError> {
        self.set_precision(step.precision);
        Ok(self.step(x, z, step.learning_rate))
    }

    fn is_finite(&mut self) -> bool {
        Self::is_finite(self)
    }

    fn states(&mut self) -> Vec<OptimizerState> {
        Self::states(self)
    }

    fn restore(&mut self, states: &[OptimizerState]) -> bool {
        Self::restore(self, states)
    }

    fn finish(self) {
        Self::finish(self);
    }
}
