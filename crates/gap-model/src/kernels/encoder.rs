//! An encoder whose weights stay as they are.

use super::packing::{instructions_for_network, to_f32_vec, with_kernel_layers};
use crate::network::Network;
use gap_kernel::FusedForward;
use gap_torch::map_row_blocks;
use tch::Tensor;

/// A frozen perceptron whose rows have the same output in any batch.
pub struct PackedEncoder(Option<FusedForward>);

impl PackedEncoder {
    /// Of the weights as they are now.
    pub fn new(network: &Network) -> Self {
        Self(instructions_for_network(network).and_then(|instructions| {
            with_kernel_layers(network, |layers| {
                FusedForward::new(layers, network.activation(), instructions)
            })
        }))
    }

    /// The output of `network`, whose weights have not changed since: `[N, in] -> [N, out]`, no graph.
    pub fn forward(&self, network: &Network, input: &Tensor) -> Tensor {
        let _no_grad = tch::no_grad_guard();
        match &self.0 {
            Some(fused) => {
                let output = fused.forward(&to_f32_vec(input));
                Tensor::from_slice(&output).view([-1, network.output_dim()])
            }
            None => map_row_blocks(&[input], |block| network.forward(&block[0])),
        }
    }
}
