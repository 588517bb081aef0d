//! The output of a perceptron, such as an encoder.
//!
//! The first layer takes the longest. A block of many rows goes through it at once: binary rows by
//! [`BinaryRows`], the others by the product. Then the block goes through the other layers tile by tile.

use crate::TILE_ROWS;
use crate::binary_rows::{self, BinaryRows};
use crate::epilogue::{HiddenLayerEpilogue, OutputBiasEpilogue, ScatterEpilogue};
use crate::lanes::{ProductKernel, VectorWork};
use crate::layers::{PackedAffineLayer, allocate_hidden_values, through_hidden};
use crate::network::Layer;
use crate::packed::AlignedBuffer;
use crate::paths::ForwardPath;
use crate::product::{Epilogue, StridedRows, fastest_padded_n_rows, product};
use gap_spec::Activation;

/// The most rows that go through the first layer together. Lookup tables are rebuilt for every block, which
/// favours large ones; the layer's outputs for a block should fit in the L2 cache, which limits them.
const MAX_FIRST_LAYER_BLOCK_ROWS: usize = 1024;

/// A perceptron, packed for the kernel `K`.
pub(crate) struct PackedPerceptron<K: ProductKernel> {
    layers: Vec<PackedAffineLayer<K>>,
    activation: Activation,
    n_inputs: usize,
    n_outputs: usize,
    /// Whether each row is checked for being binary.
    detects_binary_rows: bool,
}

impl<K: ProductKernel<Factor = f32>> PackedPerceptron<K> {
    pub(crate) fn new(layers: &[Layer<'_>], activation: Activation) -> Self {
        Self {
            activation,
            n_inputs: layers[0].n_inputs(),
            n_outputs: layers[layers.len() - 1].n_outputs(),
            layers: layers
                .iter()
                .map(|layer| PackedAffineLayer::new(layer, 0.0))
                .collect(),
            detects_binary_rows: binary_rows::is_binary_detection_worthwhile(&layers[0]),
        }
    }
}

impl<K: ProductKernel<Factor = f32>> ForwardPath for PackedPerceptron<K> {
    fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    fn forward(&self, input: &[f32], output: &mut [f32]) {
        let block_rows = MAX_FIRST_LAYER_BLOCK_ROWS.min(input.len() / self.n_inputs);
        let mut memory = BlockMemory::new(self, block_rows);
        let inputs = input.chunks(block_rows * self.n_inputs);
        for (input, output) in inputs.zip(output.chunks_mut(block_rows * self.n_outputs)) {
            let pass = BlockPass {
                network: self,
                memory: &mut memory,
                input,
                output,
            };
            // SAFETY: a network is packed only for instructions that this processor supports; the memory has
            // room for `block_rows` rows, and `input` has no more than that.
            unsafe { K::run_with_instructions(pass) };
        }
    }
}

/// Memory that the passes of blocks write to.
struct BlockMemory<K: ProductKernel> {
    binary: BinaryRows<K::Lanes>,
    /// The rows that are not binary.
    others: Vec<usize>,
    /// The number of rows in a tile.
    tile_rows: usize,
    /// A tile of `others`, gathered here if they do not lie side by side in the input.
    left: Option<AlignedBuffer<f32>>,
    /// The first layer's outputs for a block of rows, and one more row that takes the results of padding rows.
    first: AlignedBuffer<f32>,
    /// The outputs of the hidden layers after the first, for a tile.
    values: Vec<AlignedBuffer<f32>>,
    /// The outputs of the last layer for a tile, if there are several layers.
    outputs: AlignedBuffer<f32>,
}

impl<K: ProductKernel<Factor = f32>> BlockMemory<K> {
    fn new(network: &PackedPerceptron<K>, block_rows: usize) -> Self {
        let tile_rows = TILE_ROWS.min(fastest_padded_n_rows::<K>(block_rows));
        let (last, hidden) = network.layers.split_last().expect("a network has a layer");
        let width = network.layers[0].weight.width;
        Self {
            binary: BinaryRows::new(
                network.n_inputs,
                if network.detects_binary_rows {
                    block_rows
                } else {
                    0
                },
            ),
            others: Vec::new(),
            tile_rows,
            left: None,
            first: AlignedBuffer::zeros((fastest_padded_n_rows::<K>(block_rows) + 1) * width),
            values: allocate_hidden_values(hidden.get(1..).unwrap_or_default(), tile_rows),
            outputs: AlignedBuffer::zeros(tile_rows * last.weight.width),
        }
    }
}

/// The pass of one block through the layers.
struct BlockPass<'a, K: ProductKernel> {
    network: &'a PackedPerceptron<K>,
    memory: &'a mut BlockMemory<K>,
    input: &'a [f32],
    output: &'a mut [f32],
}

impl<K: ProductKernel<Factor = f32>> VectorWork for BlockPass<'_, K> {
    #[inline(always)]
    unsafe fn run(mut self) {
        let first = &self.network.layers[0];
        let (bias, stride) = (first.bias.as_slice().as_ptr(), first.weight.width);
        let to = self.memory.first.as_mut_slice().as_mut_ptr();
        unsafe {
            self.find_binary_rows();
            if self.network.layers.len() == 1 {
                self.through_first(&OutputBiasEpilogue { bias, to, stride });
                copy_rows_without_padding(
                    self.memory.first.as_slice(),
                    stride,
                    self.output,
                    self.network.n_outputs,
                );
            } else {
                let activation = self.network.activation;
                self.through_first(&HiddenLayerEpilogue::<K> {
                    activation,
                    bias,
                    to,
                    stride,
                });
                self.through_others();
            }
        }
    }
}

impl<K: ProductKernel<Factor = f32>> BlockPass<'_, K> {
    /// Sorts the rows into binary ones and others.
    #[inline(always)]
    unsafe fn find_binary_rows(&mut self) {
        let BlockMemory { binary, others, .. } = self.memory;
        binary.clear();
        others.clear();
        for (place, row) in self.input.chunks_exact(self.network.n_inputs).enumerate() {
            let taken = self.network.detects_binary_rows && unsafe { binary.take(row, place) };
            if !taken {
                others.push(place);
            }
        }
    }

    #[inline(always)]
    unsafe fn through_first<E: Epilogue<K::Lanes>>(&mut self, epilogue: &E) {
        let (n_inputs, weight) = (self.network.n_inputs, &self.network.layers[0].weight);
        let BlockMemory {
            binary,
            others,
            tile_rows,
            left,
            first,
            ..
        } = &mut *self.memory;
        // The last row takes the results of padding.
        let scrap = first.as_slice().len() / weight.width - 1;
        unsafe { binary.product(weight, scrap, epilogue) };
        others.resize(fastest_padded_n_rows::<K>(others.len()), scrap);
        for places in others.chunks(TILE_ROWS) {
            let (from, to) = (places[0], places[places.len() - 1]);
            // Rows that lie side by side are read where they are.
            let rows = if to != scrap && to - from + 1 == places.len() {
                &self.input[from * n_inputs..]
            } else {
                let left = left.get_or_insert_with(|| AlignedBuffer::zeros(*tile_rows * n_inputs));
                gather_rows(self.input, n_inputs, places, left.as_mut_slice());
                left.as_slice()
            };
            let rows = StridedRows {
                first: rows.as_ptr(),
                stride: n_inputs,
            };
            let scattered = ScatterEpilogue {
                places,
                to: epilogue,
            };
            // SAFETY: there are as many rows as places, each as long as the weight is deep, and the
            // epilogue has a row for every place.
            unsafe { product::<K, _>(rows, places.len(), weight, &scattered) };
        }
    }

    /// Takes the block through the layers after the first, tile by tile.
    #[inline(always)]
    unsafe fn through_others(&mut self) {
        let network = self.network;
        let (last, hidden) = network.layers.split_last().expect("a network has a layer");
        let stride = network.layers[0].weight.width;
        let BlockMemory {
            first,
            values,
            outputs,
            ..
        } = &mut *self.memory;
        let n_outputs = network.n_outputs;
        for (tile, output) in self.output.chunks_mut(TILE_ROWS * n_outputs).enumerate() {
            let n_rows = fastest_padded_n_rows::<K>(output.len() / n_outputs);
            let epilogue = OutputBiasEpilogue {
                bias: last.bias.as_slice().as_ptr(),
                to: outputs.as_mut_slice().as_mut_ptr(),
                stride: last.weight.width,
            };
            // SAFETY: `first` has room for `fastest_padded_n_rows` of the block's rows, and `values` and
            // `outputs` have room for those of a tile.
            unsafe {
                let first = first.as_slice().as_ptr().add(tile * TILE_ROWS * stride);
                let left = StridedRows { first, stride };
                let left = through_hidden(&hidden[1..], network.activation, left, values, n_rows);
                product::<K, _>(left, n_rows, &last.weight, &epilogue);
            }
            copy_rows_without_padding(outputs.as_slice(), last.weight.width, output, n_outputs);
        }
    }
}

/// Copies the rows of `input` at `places`; places beyond the input are skipped.
fn gather_rows(input: &[f32], width: usize, places: &[usize], to: &mut [f32]) {
    for (to, &place) in to.chunks_exact_mut(width).zip(places) {
        if let Some(row) = input.get(place * width..(place + 1) * width) {
            to.copy_from_slice(row);
        }
    }
}

/// Copies the first `n_outputs` numbers of each row of `from`, whose rows are `width` apart.
fn copy_rows_without_padding(from: &[f32], width: usize, to: &mut [f32], n_outputs: usize) {
    for (to, from) in to.chunks_exact_mut(n_outputs).zip(from.chunks_exact(width)) {
        to.copy_from_slice(&from[..n_outputs]);
    }
}
