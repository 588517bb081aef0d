//! A network that learns by Adam: on the kernels where they are, on libtorch elsewhere.

use super::adam::FlatAdam;
use crate::ascent::Precision;
use gap_model::{FusedLearner, Mlp};
use tch::Tensor;

/// A network on its way uphill. Its weights are those of the network again after [`Learner::finish`].
pub struct Learner<'a> {
    network: &'a mut Mlp,
    way: Way,
}

enum Way {
    Kernels(FusedLearner),
    Libtorch {
        adam: FlatAdam,
        /// Of the latest pass.
        values: Vec<Tensor>,
    },
}

impl<'a> Learner<'a> {
    /// `network`, from at most `most_rows` rows a step.
    pub fn of(network: &'a mut Mlp, most_rows: usize) -> Self {
        let way = match FusedLearner::of(network, most_rows) {
            Some(fused) => Way::Kernels(fused),
            None => {
                let adam = FlatAdam::new(network.n_weights(), network.kind(), network.device());
                network.move_to(adam.parameters());
                Way::Libtorch {
                    adam,
                    values: Vec::new(),
                }
            }
        };
        Self { network, way }
    }

    /// How exact the products of the next steps are, on the kernels.
    pub fn set_precision(&mut self, precision: Precision) {
        if let Way::Kernels(fused) = &mut self.way {
            fused.set_precision(precision);
        }
    }

    /// The network; its weights are not the learned ones yet.
    pub const fn network(&self) -> &Mlp {
        self.network
    }

    /// The output, no graph: `[N, in] -> [N, out]`.
    pub fn forward(&mut self, input: &Tensor) -> Tensor {
        match &mut self.way {
            Way::Kernels(fused) => fused.forward(input),
            Way::Libtorch { values, .. } => {
                *values = self.network.forward_kept(input);
                values[values.len() - 1].shallow_clone()
            }
        }
    }

    /// One step up an objective whose gradient in the latest output is `gradient`.
    pub fn ascend(&mut self, gradient: Tensor, learning_rate: f64) {
        self.step(gradient, learning_rate, false);
    }

    /// The same, and the gradient in the input before the step: `[N, in]`.
    pub fn ascend_and_pull_back(&mut self, gradient: Tensor, learning_rate: f64) -> Tensor {
        let in_input = self.step(gradient, learning_rate, true);
        in_input.expect("it was asked for")
    }

    fn step(&mut self, gradient: Tensor, learning_rate: f64, in_input: bool) -> Option<Tensor> {
        match &mut self.way {
            Way::Kernels(fused) => fused.ascend(&gradient, learning_rate, in_input),
            Way::Libtorch { adam, values } => {
                let into = adam.gradient();
                let in_input = self.network.pull_back(values, gradient, into, in_input);
                adam.step(learning_rate);
                in_input
            }
        }
    }

    /// Whether all weights and biases are finite.
    pub fn is_finite(&self) -> bool {
        match &self.way {
            Way::Kernels(fused) => fused.is_finite(),
            Way::Libtorch { adam, .. } => adam.parameters().isfinite().all().int64_value(&[]) == 1,
        }
    }

    /// Gives the network the weights that were learned.
    pub fn finish(self) {
        if let Way::Kernels(fused) = self.way {
            fused.write_to(self.network);
        }
    }
}
