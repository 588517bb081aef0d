//! Where the gradients of an encoder's fit come from: the objective under a frozen model, or a decoder that is
//! fitted on the same draws.

use super::objective::{Elbo, EncoderDraws, TrainingObjective};
use super::step::TrainingStepInputs;
use crate::inference::InferError;
use gap_data::Dataset;
use gap_model::{
    DecoderLearner, JointOutputs, JointRowEvaluator, LatentDraws, LatentVariableModel,
    OptimizerState,
};
use tch::Tensor;

/// Computes the score `∇_z log p(x, z)` at an encoder's draws, or a gradient in its `λ`. A decoder that is
/// fitted jointly also takes its own step on the draws.
pub trait ScoreSource: Sized {
    /// Writes the score at draws in plain memory to `score`, `[S·B, D]`. Only the ELBO asks for it.
    fn score_rows(
        &mut self,
        draws: &LatentDraws<'_>,
        step: &TrainingStepInputs,
        score: &mut [f32],
    ) -> Result<(), InferError>;

    /// Returns the gradient of each datapoint's objective in `λ`, `[B, Q]`, without a graph, from draws in
    /// tensors.
    fn gradient(
        &mut self,
        draws: &EncoderDraws<'_>,
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
    /// What the encoder is fitted by.
    objective: &'a dyn TrainingObjective,
    /// The evaluator at all observations of the data, present if draws are in plain memory.
    joint: Option<JointRowEvaluator<'a>>,
}

impl<'a> FrozenModel<'a> {
    /// Creates the source of gradients of `objective` under `model` for an encoder of `data`. `is_on_kernels`
    /// must be true if [`ScoreSource::score_rows`] will be called.
    pub fn new(
        model: &'a dyn LatentVariableModel,
        objective: &'a dyn TrainingObjective,
        data: &Dataset,
        is_on_kernels: bool,
    ) -> Result<Self, InferError> {
        let joint = is_on_kernels.then(|| JointRowEvaluator::new(model, data.x()));
        Ok(Self {
            model,
            objective,
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

    fn gradient(
        &mut self,
        draws: &EncoderDraws<'_>,
        _: &TrainingStepInputs,
    ) -> Result<Tensor, InferError> {
        self.objective.gradient(self.model, draws)
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

/// Each call also takes a step of the decoder; the score is that under its weights before the step. The encoder
/// is fitted by the ELBO.
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

    fn gradient(
        &mut self,
        draws: &EncoderDraws<'_>,
        step: &TrainingStepInputs,
    ) -> Result<Tensor, InferError> {
        self.set_precision(step.precision);
        let z = draws.family.transform(draws.params, draws.noise).z; // [S, B, D]
        let score = self.step(draws.x, &z, step.learning_rate);
        Ok(Elbo::gradient_from_score(draws, &score))
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
