//! Fits a network by Adam: on the kernels if they support it, otherwise by libtorch.

use super::adam::FlatAdam;
use super::background::BackgroundLearner;
use super::state::OptimizerState;
use crate::kernels::KernelLearner;
use crate::network::Network;
use gap_kernel::Precision;
use gap_torch::to_f32_values;
use tch::{Kind, Tensor};

/// A network that is being fitted. The network itself is guaranteed to have the learned weights only after
/// [`NetworkLearner::finish`].
pub struct NetworkLearner<'a> {
    network: &'a mut Network,
    engine: LearningEngine,
}

enum LearningEngine {
    Kernels(BackgroundLearner),
    Libtorch {
        adam: FlatAdam,
        /// The values of the latest forward pass.
        values: Vec<Tensor>,
    },
}

impl<'a> NetworkLearner<'a> {
    /// Prepares `network` for steps that use at most `most_rows` rows each.
    pub fn new(network: &'a mut Network, most_rows: usize) -> Self {
        Self::new_with_thread(network, most_rows, false)
    }

    /// As [`NetworkLearner::new`]; if `has_thread`, a learner on the kernels takes its pending steps on
    /// another thread.
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

    /// Sets the precision of the products in later steps on the kernels.
    pub fn set_precision(&mut self, precision: Precision) {
        if let LearningEngine::Kernels(learner) = &mut self.engine {
            learner.wait_for_learner().set_precision(precision);
        }
    }

    /// Width of the input.
    pub fn input_dim(&self) -> i64 {
        self.network.input_dim()
    }

    /// The output, without a graph: `[N, in] -> [N, out]`.
    pub fn forward(&mut self, input: &Tensor) -> Tensor {
        match &mut self.engine {
            LearningEngine::Kernels(learner) => learner.wait_for_learner().forward(input),
            LearningEngine::Libtorch { values, .. } => {
                *values = self.network.forward_keeping_values(input);
                values[values.len() - 1].shallow_clone()
            }
        }
    }

    /// Takes one step up an objective, given its `gradient` with respect to the latest output, `[N, out]`.
    pub fn step(&mut self, gradient: Tensor, learning_rate: f64) {
        self.step_with_optional_pull_back(gradient, learning_rate, false);
    }

    /// As [`NetworkLearner::step`], and returns the gradient with respect to the input, before the step:
    /// `[N, in]`.
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

    /// Whether the fused kernels do the computation, rather than libtorch. The methods that take slices may be
    /// called only then.
    pub const fn is_on_kernels(&self) -> bool {
        matches!(self.engine, LearningEngine::Kernels(_))
    }

    /// Writes the output for those rows of `data` whose indices are in `rows`: `data` `[M, in]`, `rows` `[N]`,
    /// `output` `[N, out]`.
    ///
    /// # Panics
    ///
    /// If libtorch does the computation, lengths do not fit, or a row does not exist.
    pub fn forward_selected_rows(&mut self, data: &[f32], rows: &[usize], output: &mut [f32]) {
        let learner = self.background_learner_mut().wait_for_learner();
        learner
            .training_mut()
            .forward_selected_rows(data, rows, output);
    }

    /// As [`NetworkLearner::step`], with a `gradient` in a slice, `[N, out]`.
    ///
    /// # Panics
    ///
    /// If libtorch does the computation, or lengths do not fit.
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

    /// What is learned so far, with the state of the optimizer.
    pub fn state(&mut self) -> OptimizerState {
        match &mut self.engine {
            LearningEngine::Kernels(learner) => {
                let (numbers, n_steps) = learner.wait_for_learner().training_mut().copy_state();
                OptimizerState {
                    n_steps,
                    numbers: Tensor::from_slice(&numbers),
                }
            }
            LearningEngine::Libtorch { adam, .. } => adam.state(),
        }
    }

    /// Goes back to what [`NetworkLearner::state`] returned. `false`, with nothing changed, if that has another
    /// number or another kind of parameters; nothing else is compared.
    #[must_use]
    pub fn restore(&mut self, state: &OptimizerState) -> bool {
        match &mut self.engine {
            LearningEngine::Kernels(learner) => {
                if state.numbers.kind() != Kind::Float {
                    return false;
                }
                let numbers = to_f32_values(&state.numbers);
                let training = learner.wait_for_learner().training_mut();
                training.restore_state(&numbers, state.n_steps)
            }
            LearningEngine::Libtorch { adam, .. } => {
                let _no_grad = tch::no_grad_guard();
                adam.restore(state)
            }
        }
    }

    /// Whether all weights and biases are finite.
    pub fn is_finite(&mut self) -> bool {
        match &mut self.engine {
            LearningEngine::Kernels(learner) => learner.wait_for_learner().is_finite(),
            LearningEngine::Libtorch { adam, .. } => adam.is_finite(),
        }
    }

    /// Writes the learned weights to the network.
    pub fn finish(self) {
        if let LearningEngine::Kernels(mut learner) = self.engine {
            learner.wait_for_learner().write_weights_to(self.network);
        }
    }
}
