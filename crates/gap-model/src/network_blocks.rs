//! A network's forward and backward passes, block by block, in memory that is reused.
//!
//! Every operation runs on [`ROWS_PER_BLOCK`] rows, in memory with aligned rows, so that a row's bits do not
//! depend on the rest of the batch (see [`gap_torch::map_row_blocks`]). No graph is built: the caller holds a
//! no-grad guard.

use crate::activation::{Activation, activate_in_place, pull_back_in_place};
use crate::layer::{Layer, LayerMap};
use crate::network::Network;
use gap_torch::{ROWS_PER_BLOCK, empty_aligned_rows};
use tch::Tensor;

/// A network, with memory for one block of each layer's values and of the hidden layers' gradients.
pub(crate) struct NetworkBlocks {
    layers: Vec<BlockLayer>,
    gradients: Vec<Tensor>, // with respect to hidden values, [ROWS_PER_BLOCK, h_i]
    activation: Activation,
}

struct BlockLayer {
    layer: Layer,
    transposed: Option<Tensor>, // an affine layer's weight, [in, out]
    value: Tensor,              // [ROWS_PER_BLOCK, out]
}

impl BlockLayer {
    fn forward(&mut self, input: &Tensor) {
        match &self.transposed {
            Some(transposed) => {
                let bias = &self.layer.bias;
                let _ = bias.addmm_out(&self.value, input, transposed);
            }
            None => self.value.copy_(&self.layer.apply(input)),
        }
    }

    fn pull_back(&self, gradient: &Tensor, into: &Tensor) {
        if self.layer.map == LayerMap::Affine {
            let _ = gradient.mm_out(into, &self.layer.weight);
        } else {
            into.shallow_clone().copy_(&self.layer.pull_back(gradient));
        }
    }
}

impl NetworkBlocks {
    /// Allocates the memory for `network`, and shares its weights.
    pub(crate) fn new(network: &Network) -> Self {
        let memory = |width: i64| {
            empty_aligned_rows(ROWS_PER_BLOCK, width, network.kind(), network.device())
        };
        let layers = network.layers().iter().map(|layer| BlockLayer {
            transposed: (layer.map == LayerMap::Affine).then(|| layer.weight.tr()),
            value: memory(layer.n_outputs()),
            layer: layer.shallow_clone(),
        });
        let hidden = &network.layers()[1..];
        Self {
            layers: layers.collect(),
            gradients: hidden.iter().map(|l| memory(l.n_inputs())).collect(),
            activation: network.activation(),
        }
    }

    /// Replaces the transposed views of affine weights by contiguous copies. Copying takes time once, and saves
    /// some in every block.
    pub(crate) fn with_transposed_copies(mut self) -> Self {
        for layer in &mut self.layers {
            layer.transposed = layer.transposed.take().map(|weight| weight.contiguous());
        }
        self
    }

    /// Computes the output of a block of aligned rows, in memory that the caller may overwrite:
    /// `[ROWS_PER_BLOCK, in] -> [ROWS_PER_BLOCK, out]`.
    pub(crate) fn forward(&mut self, input: &Tensor) -> &mut Tensor {
        let last = self.layers.len() - 1;
        for i in 0..=last {
            let (before, rest) = self.layers.split_at_mut(i);
            let input = before.last().map_or(input, |layer| &layer.value);
            rest[0].forward(input);
            if i < last {
                activate_in_place(self.activation, &mut rest[0].value);
            }
        }
        &mut self.layers[last].value
    }

    /// Computes the backward pass of the latest [`NetworkBlocks::forward`]. The caller must have overwritten
    /// the output with the gradient with respect to it. The gradient with respect to the input is written to
    /// `into`, `[ROWS_PER_BLOCK, in]`.
    pub(crate) fn pull_back(&mut self, into: &Tensor) {
        let last = &self.layers[self.layers.len() - 1];
        last.pull_back(&last.value, self.gradients.last().unwrap_or(into));
        self.pull_back_below_last(into);
    }

    /// As [`NetworkBlocks::pull_back`], but the caller does the last layer's part: given the output's memory,
    /// `through_last(output, into)` writes the gradient with respect to the last layer's input.
    pub(crate) fn pull_back_with_last_layer(
        &mut self,
        into: &mut Tensor,
        through_last: impl FnOnce(&Tensor, &mut Tensor),
    ) {
        let last = &self.layers[self.layers.len() - 1];
        through_last(&last.value, self.gradients.last_mut().unwrap_or(into));
        self.pull_back_below_last(into);
    }

    fn pull_back_below_last(&self, into: &Tensor) {
        for i in (0..self.gradients.len()).rev() {
            let (gradient, layer) = (&self.gradients[i], &self.layers[i]);
            pull_back_in_place(self.activation, gradient, &layer.value);
            let into = if i == 0 { into } else { &self.gradients[i - 1] };
            layer.pull_back(gradient, into);
        }
    }
}
