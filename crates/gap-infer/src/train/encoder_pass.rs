//! A training step of an encoder: forward to draws from its `q`, and back from the score at them.
//!
//! The diagonal Gaussian on the kernels works in plain memory that is reused in every step, since a step of a
//! small fit takes only a few microseconds. All other cases use tensors.

use super::objective::EncoderDraws;
use super::scores::ScoreSource;
use super::step::TrainingStepInputs;
use crate::encoder::{Standardization, network_inputs};
use crate::family::{DiagonalGaussian, VariationalFamily, VariationalParams};
use crate::inference::InferError;
use gap_data::Dataset;
use gap_model::{LatentDraws, NetworkLearner, OptimizerState};
use gap_torch::to_f32_values;
use tch::{Device, Kind, Tensor};

/// An encoder that learns, and the data that it learns from.
pub struct EncoderLearner<'a> {
    learner: NetworkLearner<'a>,
    kind: StepBackend<'a>,
}

enum StepBackend<'a> {
    Rows(PlainMemoryBackend),
    Tensors(TensorBackend<'a>),
}

/// The observations that a fit learns from, and how the encoder sees them.
#[derive(Clone, Copy)]
pub struct EncoderData<'a> {
    pub data: &'a Dataset,
    pub standardization: Option<&'a Standardization>,
}

/// Whether an encoder can be fitted without tensors: its family is the diagonal Gaussian, its network runs on
/// the kernels and sees whole observations, and the data are `f32` on the CPU.
pub fn can_train_without_tensors(
    learner: &NetworkLearner,
    family: &dyn VariationalFamily,
    data: &Dataset,
) -> bool {
    learner.is_on_kernels()
        && family.as_diagonal_gaussian().is_some()
        && learner.input_dim() == data.observed_dim()
        && data.x().device() == Device::Cpu
        && data.x().kind() == Kind::Float
}

impl<'a> EncoderLearner<'a> {
    /// Creates a learner for the encoder of `learner`. `on_rows` selects draws in plain memory; it must be
    /// false unless [`can_train_without_tensors`] holds.
    pub fn new(
        learner: NetworkLearner<'a>,
        family: &'a dyn VariationalFamily,
        data: EncoderData<'a>,
        device: Device,
        on_rows: bool,
    ) -> Self {
        let diagonal = family.as_diagonal_gaussian().filter(|_| on_rows);
        let kind = match diagonal {
            Some(family) => StepBackend::Rows(PlainMemoryBackend::new(family, data)),
            None => StepBackend::Tensors(TensorBackend {
                family,
                data,
                device,
            }),
        };
        Self { learner, kind }
    }

    /// Takes one step that raises the objective of the step's datapoints, with the score or the gradient from
    /// `source`.
    pub fn step(
        &mut self,
        step: &TrainingStepInputs,
        source: &mut impl ScoreSource,
    ) -> Result<(), InferError> {
        self.learner.set_precision(step.precision);
        match &mut self.kind {
            StepBackend::Rows(pass) => pass.step(&mut self.learner, step, source),
            StepBackend::Tensors(pass) => pass.step(&mut self.learner, step, source),
        }
    }

    /// What is learned so far.
    pub fn state(&mut self) -> OptimizerState {
        self.learner.state()
    }

    /// See [`NetworkLearner::restore`].
    #[must_use]
    pub fn restore(&mut self, state: &OptimizerState) -> bool {
        self.learner.restore(state)
    }

    /// Whether all weights are finite.
    pub fn is_finite(&mut self) -> bool {
        self.learner.is_finite()
    }

    /// Writes the learned weights into the encoder.
    pub fn finish(self) {
        self.learner.finish();
    }
}

/// Takes the training steps for a diagonal Gaussian, in plain memory.
struct PlainMemoryBackend {
    family: DiagonalGaussian,
    data: Vec<f32>,           // [M, X]
    inputs: Option<Vec<f32>>, // what the encoder sees of it if that is not the data themselves, [M, X]
    observations: Vec<usize>, // the row of `data` that each draw is for, [S·B]
    params: Vec<f32>,         // [B, 2D]
    std: Vec<f32>,            // [B, D]
    z: Vec<f32>,              // [S, B, D]
    score: Vec<f32>,          // [S, B, D]
    gradient: Vec<f32>,       // of the mean ELBO in λ: [B, 2D]
}

impl PlainMemoryBackend {
    fn new(
        family: DiagonalGaussian,
        EncoderData {
            data,
            standardization,
        }: EncoderData<'_>,
    ) -> Self {
        Self {
            family,
            data: to_f32_values(data.x()),
            inputs: standardization.map(|by| to_f32_values(&by.apply(data.x()))),
            observations: Vec::new(),
            params: Vec::new(),
            std: Vec::new(),
            z: Vec::new(),
            score: Vec::new(),
            gradient: Vec::new(),
        }
    }

    fn step(
        &mut self,
        learner: &mut NetworkLearner,
        step: &TrainingStepInputs,
        source: &mut impl ScoreSource,
    ) -> Result<(), InferError> {
        let (family, batch) = (self.family, step.positions.len());
        self.params.resize(batch * family.param_dim() as usize, 0.0);
        let inputs = self.inputs.as_ref().unwrap_or(&self.data);
        learner.forward_selected_rows(inputs, step.positions, &mut self.params);
        family.transform_rows(&self.params, step.noise, &mut self.std, &mut self.z);
        self.score.resize(self.z.len(), 0.0);
        self.gradient.resize(self.params.len(), 0.0);
        self.observations.clear();
        for _ in 0..step.n_samples {
            self.observations.extend_from_slice(step.positions);
        }
        let draws = LatentDraws {
            x: &self.data,
            observations: &self.observations,
            z: &self.z,
        };
        source.score_rows(&draws, step, &mut self.score)?;
        let scale = 1.0 / batch as f32;
        let (std, score) = (&self.std, &self.score);
        family.pull_back_rows(std, step.noise, score, scale, &mut self.gradient);
        learner.step_rows(&self.gradient, step.learning_rate);
        Ok(())
    }
}

/// Takes the training steps for any family, in tensors on any device.
struct TensorBackend<'a> {
    family: &'a dyn VariationalFamily,
    data: EncoderData<'a>,
    device: Device,
}

impl TensorBackend<'_> {
    fn step(
        &self,
        learner: &mut NetworkLearner,
        step: &TrainingStepInputs,
        source: &mut impl ScoreSource,
    ) -> Result<(), InferError> {
        let _no_grad = tch::no_grad_guard();
        let EncoderData {
            data,
            standardization,
        } = self.data;
        let batch = data.batch_at(step.positions, self.device);
        let noise = Tensor::from_slice(step.noise)
            .view([-1, batch.len() as i64, self.family.noise_dim()])
            .to_device(self.device); // [S, B, N]
        let inputs = network_inputs(batch.x(), learner.input_dim(), standardization);
        let params = VariationalParams(learner.forward(&inputs));
        let draws = EncoderDraws {
            family: self.family,
            x: batch.x(),
            params: &params,
            noise: &noise,
        };
        let gradient = source.gradient(&draws, step)? / batch.len() as f64;
        learner.step(gradient, step.learning_rate);
        Ok(())
    }
}
