//! A batch and the weights, stored for the kernel `K`.

use super::factors::WeightFactors;
use super::parameters::{LearnedLayer, LearnedNetwork};
use crate::lanes::ProductKernel;
use crate::packed::AlignedBuffer;

/// The weight as factors, the values and the gradients of one layer.
pub(super) struct LayerWorkspace<K: ProductKernel> {
    pub(super) weight: WeightFactors<K>,
    /// The output, `[rows, out]`; empty for the last layer.
    pub(super) value: AlignedBuffer<K::Factor>,
    /// The gradient with respect to the pre-activation, `[rows, out]`.
    pub(super) pulled: AlignedBuffer<K::Factor>,
    /// The gradient with respect to the bias, `[out]`.
    pub(super) in_bias: AlignedBuffer<f32>,
}

/// Memory for `most_rows` rows, in whole blocks; all widths are padded to whole registers.
pub(super) struct Workspace<K: ProductKernel> {
    pub(super) layers: Vec<LayerWorkspace<K>>,
    pub(super) input: AlignedBuffer<K::Factor>, // [rows, in]
    pub(super) output: AlignedBuffer<f32>,      // [rows, out]
    /// The gradient with respect to the input, if that is asked for, `[rows, in]`.
    pub(super) in_input: AlignedBuffer<f32>,
    /// Interleaved copies of a layer's input and of its gradient, whose product is the gradient with respect to
    /// the weight; empty if factors are `f32`.
    pub(super) columns: [AlignedBuffer<K::Factor>; 2],
    /// The number of rows of the batch.
    pub(super) n_rows: usize,
}

impl<K: ProductKernel> Workspace<K> {
    pub(super) fn new(learned: &LearnedNetwork) -> Self {
        let rows = learned.most_rows.next_multiple_of(K::MICROKERNEL_ROWS);
        let layers = &learned.layers;
        let last = layers.len() - 1;
        let space = |(i, layer): (usize, &LearnedLayer)| LayerWorkspace {
            weight: WeightFactors::from_layer(layer),
            value: AlignedBuffer::zeros(if i < last { rows * layer.out_width } else { 0 }),
            pulled: AlignedBuffer::zeros(rows * layer.out_width),
            in_bias: AlignedBuffer::zeros(layer.out_width),
        };
        let columns = |width: fn(&LearnedLayer) -> usize| {
            let widest = layers.iter().map(width).max().unwrap_or(0);
            AlignedBuffer::zeros(if K::PRODUCTS_PER_INSTRUCTION > 1 {
                rows * widest
            } else {
                0
            })
        };
        let mut workspace = Self {
            layers: layers.iter().enumerate().map(space).collect(),
            input: AlignedBuffer::zeros(rows * layers[0].in_width),
            output: AlignedBuffer::zeros(rows * layers[last].out_width),
            in_input: AlignedBuffer::zeros(rows * layers[0].in_width),
            columns: [
                columns(|layer| layer.in_width),
                columns(|layer| layer.out_width),
            ],
            n_rows: 0,
        };
        for (space, layer) in workspace.layers.iter_mut().zip(layers) {
            space.weight.arrange_for_forward(layer);
        }
        workspace
    }

    /// The number of rows of the batch, padded to whole blocks.
    pub(super) fn padded_n_rows(&self) -> usize {
        self.n_rows.next_multiple_of(K::MICROKERNEL_ROWS)
    }
}
