//! A perceptron that the kernels fit.

use super::packing::{instructions_for_network, to_f32_vec, with_kernel_layers};
use crate::network::Network;
use gap_kernel::{FusedTraining, Precision};
use tch::Tensor;

/// A copy of a perceptron that the kernels fit.
pub(crate) struct KernelLearner {
    training: FusedTraining,
    n_inputs: i64,
    n_outputs: i64,
    is_small: bool,
}

/// Perceptrons with fewer weights than this are always fitted in full precision. A step of 10-32-4, with 484
/// weights, takes 4.4 µs in full and 4.7 µs in mixed precision; a step of 10-128-4, with 1,924 weights, takes
/// 14.7 and 12.2 µs.
const MIN_WEIGHTS_FOR_HALF_PRECISION: u64 = 1000;

impl KernelLearner {
    /// Copies the current weights of `network`, for steps that use at most `most_rows` rows each; `None` if
    /// libtorch must fit the network.
    pub(crate) fn new(network: &Network, most_rows: usize) -> Option<Self> {
        let instructions = instructions_for_network(network)?;
        let training = with_kernel_layers(network, |layers| {
            FusedTraining::new(layers, network.activation(), most_rows, instructions)
        })?;
        Some(Self {
            training,
            n_inputs: network.input_dim(),
            n_outputs: network.output_dim(),
            is_small: network.n_weights() < MIN_WEIGHTS_FOR_HALF_PRECISION,
        })
    }

    /// The output, without a graph: `[N, in] -> [N, out]`.
    pub(crate) fn forward(&mut self, input: &Tensor) -> Tensor {
        let output = self.training.forward(&to_f32_vec(input));
        Tensor::from_slice(&output).view([-1, self.n_outputs])
    }

    /// Takes one step of Adam up an objective, given its `gradient` with respect to the latest output,
    /// `[N, out]`. Returns the gradient with respect to the input, `[N, in]`, if `in_input` is set.
    pub(crate) fn ascend_from_output_gradient(
        &mut self,
        gradient: &Tensor,
        learning_rate: f64,
        in_input: bool,
    ) -> Option<Tensor> {
        let gradient = to_f32_vec(gradient);
        let n_rows = gradient.len() / self.n_outputs as usize;
        let mut in_input = in_input.then(|| vec![0.0; n_rows * self.n_inputs as usize]);
        self.training.ascend_from_output_gradient(
            &gradient,
            learning_rate,
            in_input.as_deref_mut(),
        );
        Some(Tensor::from_slice(&in_input?).view([-1, self.n_inputs]))
    }

    /// Sets the precision of the products in later steps. A small perceptron stays in full precision, because
    /// rounding its operands would cost more time than it saves.
    pub(crate) fn set_precision(&mut self, precision: Precision) {
        self.training.set_precision(if self.is_small {
            Precision::Full
        } else {
            precision
        });
    }

    /// The kernels' own learner, which takes rows in slices.
    pub(crate) const fn training_mut(&mut self) -> &mut FusedTraining {
        &mut self.training
    }

    /// Whether all weights and biases are finite.
    pub(crate) fn is_finite(&self) -> bool {
        self.training.is_finite()
    }

    /// Writes the current weights to `network`, which must be the one that this was made from.
    pub(crate) fn write_weights_to(&self, network: &mut Network) {
        let _no_grad = tch::no_grad_guard();
        for (layer, (weight, bias)) in network.layers().iter().zip(self.training.copy_layers()) {
            for (tensor, values) in [(&layer.weight, weight), (&layer.bias, bias)] {
                let values = Tensor::from_slice(&values).view_as(tensor);
                tensor.shallow_clone().copy_(&values);
            }
        }
    }
}
