//! What a batch and the weights are on the path `K`.

use super::factors::WeightFactors;
use super::parameters::{LearnedLayer, LearnedNetwork};
use crate::lanes::Kernel;
use crate::packed::Aligned;

/// One layer's part.
pub(super) struct LayerSpace<K: Kernel> {
    pub(super) weight: WeightFactors<K>,
    pub(super) value: Aligned<K::Factor>, // its output, [rows, out]; empty for the last
    pub(super) pulled: Aligned<K::Factor>, // the gradient in it, [rows, out]
    pub(super) in_bias: Aligned<f32>,     // the gradient in the bias, [out]
}

/// Memory for the most rows, in whole blocks, all of it filled up to whole registers.
pub(super) struct Workspace<K: Kernel> {
    pub(super) layers: Vec<LayerSpace<K>>,
    pub(super) input: Aligned<K::Factor>, // [rows, in]
    pub(super) output: Aligned<f32>,      // [rows, out]
    pub(super) in_input: Aligned<f32>,    // the gradient in the input, if it was asked for
    /// The two factors of the gradient in a weight, where their order differs from that of rows.
    pub(super) columns: [Aligned<K::Factor>; 2],
    /// Rows of the batch.
    pub(super) n_rows: usize,
}

impl<K: Kernel> Workspace<K> {
    pub(super) fn new(learned: &LearnedNetwork) -> Self {
        let rows = learned.most_rows.next_multiple_of(K::ROWS);
        let layers = &learned.layers;
        let last = layers.len() - 1;
        let space = |(i, layer): (usize, &LearnedLayer)| LayerSpace {
            weight: WeightFactors::of(layer),
            value: Aligned::zeros(if i < last { rows * layer.out_width } else { 0 }),
            pulled: Aligned::zeros(rows * layer.out_width),
            in_bias: Aligned::zeros(layer.out_width),
        };
        let columns = |width: fn(&LearnedLayer) -> usize| {
            let widest = layers.iter().map(width).max().unwrap_or(0);
            Aligned::zeros(if K::PRODUCTS_PER_INSTRUCTION > 1 {
                rows * widest
            } else {
                0
            })
        };
        let mut workspace = Self {
            layers: layers.iter().enumerate().map(space).collect(),
            input: Aligned::zeros(rows * layers[0].in_width),
            output: Aligned::zeros(rows * layers[last].out_width),
            in_input: Aligned::zeros(rows * layers[0].in_width),
            columns: [
                columns(|layer| layer.in_width),
                columns(|layer| layer.out_width),
            ],
            n_rows: 0,
        };
        for (space, layer) in workspace.layers.iter_mut().zip(layers) {
            space.weight.arrange_forward(layer);
        }
        workspace
    }

    /// Rows in whole blocks.
    pub(super) fn whole_rows(&self) -> usize {
        self.n_rows.next_multiple_of(K::ROWS)
    }
}
