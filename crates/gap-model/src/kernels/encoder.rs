//! An encoder's network with frozen weights.

use super::packing::{instructions_for_network, to_f32_vec, with_kernel_layers};
use crate::network::Network;
use gap_kernel::FusedForward;
use gap_torch::map_row_blocks;
use tch::Tensor;

/// A network with frozen weights, packed for the kernels if they support it. A row has the same output in any
/// batch, to the last bit.
pub struct PackedEncoder(Option<FusedForward>);

impl PackedEncoder {
    /// Packs the current weights of `network`.
    pub fn new(network: &Network) -> Self {
        Self(instructions_for_network(network).and_then(|instructions| {
            with_kernel_layers(network, |layers| {
                FusedForward::new(layers, network.activation(), instructions)
            })
        }))
    }

    /// The output of `network`, which must still have the weights that were packed: `[N, in] -> [N, out]`,
    /// without a graph.
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
