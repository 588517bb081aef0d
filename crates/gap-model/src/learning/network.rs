//! A network that learns by Adam: on the kernels where it is one for them, else by libtorch.

use super::adam::FlatAdam;
use super::background::BackgroundLearner;
use crate::kernels::KernelLearner;
use crate::network::Network;
use gap_kernel::Precision;
use tch::Tensor;

/// A network that learns. Its weights are those of the network again after [`NetworkLearner::finish`].
pub struct NetworkLearner<'a> {
    network: &'a mut Network,
    engine: LearningEngine,
}

enum LearningEngine {
    Kernels(BackgroundLearner),
    Libtorch {
        adam: FlatAdam,
        /// Of the latest forward pass.
        values: Vec<Tensor>,
    },
}

impl<'a> NetworkLearner<'a> {
    /// `network`, from at most `most_rows` rows a step.
    pub fn new(network: &'a mut Network, most_rows: usize) -> Self {
        Self::new_with_thread(network, most_rows, false)
    }

    /// The same; on the kernels its steps have a thread of their own if `has_thread`.
    pub(super) fn new_with_thread(
        network: &'a mut Network,
        most_rows: usize,
        has_thread: bool,
    ) -> Self {
        let engine = match KernelLearner::new(network, most_rows) {
            Some(learner) => LearningEngine::Kernels(BackgroundLearner::new(learner, has_thread)),
            None => {
                let adam = FlatAdam::new(network.n_weights(), network.kind(), network.device());
                network.move_parameters_into(adam.parameters());
                LearningEngine::Libtorch {
                    adam,
                    values: Vec::new(),
                }
            }
        };
        Self { network, engine }
    }

    /// How exact the products of the next steps are, on the kernels.
    pub fn set_precision(&mut self, precision: Precision) {
        if let LearningEngine::Kernels(learner) = &mut self.engine {
            learner.wait_for_learner().set_precision(precision);
        }
    }

    /// Width of the input.
    pub fn input_dim(&self) -> i64 {
        self.network.input_dim()
    }

    /// The output, no graph: `[N, in] -> [N, out]`.
    pub fn forward(&mut self, input: &Tensor) -> Tensor {
        match &mut self.engine {
            LearningEngine::Kernels(learner) => learner.wait_for_learner().forward(input),
            LearningEngine::Libtorch { values, .. } => {
                *values = self.network.forward_keeping_values(input);
                values[values.len() - 1].shallow_clone()
            }
        }
    }

    /// One step up an objective whose gradient in the latest output is `gradient`.
    pub fn step(&mut self, gradient: Tensor, learning_rate: f64) {
        self.step_with_optional_pull_back(gradient, learning_rate, false);
    }

    /// The same, and the gradient in the input before the step: `[N, in]`.
    pub fn step_and_pull_back(&mut self, gradient: Tensor, learning_rate: f64) -> Tensor {
        let in_input = self.step_with_optional_pull_back(gradient, learning_rate, true);
        in_input.expect("it was to be computed")
    }

    fn step_with_optional_pull_back(
        &mut self,
        gradient: Tensor,
        learning_rate: f64,
        in_input: bool,
    ) -> Option<Tensor> {
        match &mut self.engine {
            LearningEngine::Kernels(learner) => learner
                .wait_for_learner()
                .ascend_from_output_gradient(&gradient, learning_rate, in_input),
            LearningEngine::Libtorch { adam, values } => {
                let into = adam.gradient();
                let in_input = self.network.pull_back(values, gradient, into, in_input);
                adam.step(learning_rate);
                in_input
            }
        }
    }

    /// Whether rows in plain memory are read where they lie.
    pub const fn is_on_kernels(&self) -> bool {
        matches!(self.engine, LearningEngine::Kernels(_))
    }

    /// Writes the output of some `rows` of `data`, `[M, in]`: `[N] -> [N, out]`.
    ///
    /// # Panics
    ///
    /// If it does not read rows, or lengths do not fit.
    pub fn forward_selected_rows(&mut self, data: &[f32], rows: &[usize], output: &mut [f32]) {
        let learner = self.background_learner_mut().wait_for_learner();
        learner
            .training_mut()
            .forward_selected_rows(data, rows, output);
    }

    /// One step up an objective whose gradient in the latest output is `gradient`, `[N, out]`.
    ///
    /// # Panics
    ///
    /// As [`NetworkLearner::forward_selected_rows`].
    pub fn step_rows(&mut self, gradient: &[f32], learning_rate: f64) {
        let learner = self.background_learner_mut().wait_for_learner();
        learner
            .training_mut()
            .ascend_from_output_gradient(gradient, learning_rate, None);
    }

    pub(super) fn background_learner_mut(&mut self) -> &mut BackgroundLearner {
        match &mut self.engine {
            LearningEngine::Kernels(learner) => learner,
            LearningEngine::Libtorch { .. } => panic!("only a network on the kernels reads rows"),
        }
    }

    /// Whether all weights and biases are finite.
    pub fn is_finite(&mut self) -> bool {
        match &mut self.engine {
            LearningEngine::Kernels(learner) => learner.wait_for_learner().is_finite(),
            LearningEngine::Libtorch { adam, .. } => adam.is_finite(),
        }
    }

    /// Gives the network the weights that were learned.
    pub fn finish(self) {
        if let LearningEngine::Kernels(mut learner) = self.engine {
            learner.wait_for_learner().write_weights_to(self.network);
        }
    }
}
