//! Where the score at an encoder's draws comes from: a frozen model, or a decoder that learns from them.

use super::step::TrainingStepInputs;
use crate::inference::InferError;
use gap_data::Dataset;
use gap_model::{
    DecoderLearner, JointOutputs, JointRowEvaluator, LatentDraws, LatentVariableModel,
};
use tch::Tensor;

/// `∇_z log p(x, z)` at an encoder's draws, and what else is done with them in a step.
pub trait ScoreSource: Sized {
    /// At draws in plain memory, written to `score`, `[S·B, D]`.
    fn score_rows(
        &mut self,
        draws: &LatentDraws<'_>,
        step: &TrainingStepInputs,
        score: &mut [f32],
    ) -> Result<(), InferError>;

    /// At draws that are tensors, without a graph: `[B, X], [S, B, D] -> [S, B, D]`.
    fn score(
        &mut self,
        x: &Tensor,
        z: &Tensor,
        step: &TrainingStepInputs,
    ) -> Result<Tensor, InferError>;

    /// Whether all that it learned is finite.
    fn is_finite(&mut self) -> bool;

    /// Keeps what it learned.
    fn finish(self);
}

/// A model that stays as it is.
pub struct FrozenModel<'a> {
    model: &'a dyn LatentVariableModel,
    /// At all data, where rows are read.
    joint: Option<JointRowEvaluator<'a>>,
}

impl<'a> FrozenModel<'a> {
    /// `model`, for an encoder of `data`; `is_on_kernels` if draws in plain memory will be asked about.
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

    fn finish(self) {}
}

/// A decoder takes its own step first; the score is that before it.
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

    fn finish(self) {
        Self::finish(self);
    }
}
