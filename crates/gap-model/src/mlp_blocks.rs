//! A perceptron's values and pulled-back gradients, block by block, in memory that is used again.
//!
//! Every operation runs at one shape, [`BLOCK_ROWS`] rows, in memory whose rows are aligned, so that a
//! row's bits do not depend on its company (see [`gap_torch::map_row_blocks`]). No graph is built:
//! the caller holds a no-grad guard.

use crate::mlp::{Activation, Layer, Mlp};
use gap_torch::{BLOCK_ROWS, aligned_memory};
use tch::Tensor;

/// A network with a block's worth of memory for each layer.
pub(crate) struct MlpBlocks {
    layers: Vec<BlockLayer>,
    gradients: Vec<Tensor>, // in the hidden layers' values, [BLOCK_ROWS, h_i]
    activation: Activation,
}

struct BlockLayer {
    weight: Tensor,     // [out, in]
    transposed: Tensor, // [in, out]
    bias: Tensor,       // [out]
    value: Tensor,      // [BLOCK_ROWS, out]
}

impl MlpBlocks {
    /// Memory for `network`, whose weights are shared.
    pub(crate) fn new(network: &Mlp) -> Self {
        let memory =
            |width: i64| aligned_memory(BLOCK_ROWS, width, network.kind(), network.device());
        let layers = network
            .layers()
            .iter()
            .map(|Layer { weight, bias }| BlockLayer {
                weight: weight.shallow_clone(),
                transposed: weight.tr(),
                bias: bias.shallow_clone(),
                value: memory(bias.size()[0]),
            });
        let hidden = &network.layers()[1..];
        Self {
            layers: layers.collect(),
            gradients: hidden.iter().map(|l| memory(l.weight.size()[1])).collect(),
            activation: network.activation(),
        }
    }

    /// The same with transposed copies of the weights: dear once, and cheaper in every block.
    pub(crate) fn with_transposed_copies(mut self) -> Self {
        for layer in &mut self.layers {
            layer.transposed = layer.transposed.contiguous();
        }
        self
    }

    /// The output of a block of aligned rows, in memory that the caller may write over: `[BLOCK_ROWS, in] -> [BLOCK_ROWS, out]`.
    pub(crate) fn forward(&mut self, input: &Tensor) -> &mut Tensor {
        let last = self.layers.len() - 1;
        for i in 0..=last {
            let (before, rest) = self.layers.split_at_mut(i);
            let input = before.last().map_or(input, |layer| &layer.value);
            let layer = &mut rest[0];
            let _ = layer.bias.addmm_out(&layer.value, input, &layer.transposed);
            if i < last {
                self.activation.apply_in_place(&mut layer.value);
            }
        }
        &mut self.layers[last].value
    }

    /// Pulls a gradient back to the input of the latest [`MlpBlocks::forward`], and writes it to
    /// `into`, `[BLOCK_ROWS, in]`.
    ///
    /// `through_last(output, weight, into)` takes it through the last layer: it writes the gradient
    /// in that layer's input, given the output's memory and the layer's weight.
    pub(crate) fn pull_back(
        &mut self,
        into: &mut Tensor,
        through_last: impl FnOnce(&Tensor, &Tensor, &mut Tensor),
    ) {
        let last = &self.layers[self.layers.len() - 1];
        through_last(
            &last.value,
            &last.weight,
            self.gradients.last_mut().unwrap_or(into),
        );
        for i in (0..self.gradients.len()).rev() {
            let (gradient, layer) = (&self.gradients[i], &self.layers[i]);
            self.activation.pull_back_in_place(gradient, &layer.value);
            let into = if i == 0 {
                &*into
            } else {
                &self.gradients[i - 1]
            };
            let _ = gradient.mm_out(into, &layer.weight);
        }
    }
}
