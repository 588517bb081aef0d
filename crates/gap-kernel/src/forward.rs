//! A perceptron's output: an encoder's whole work.

use crate::TILE_ROWS;
use crate::epilogue::Plain;
use crate::fused::ForwardPath;
use crate::lanes::{Kernel, Work};
use crate::layers::{Affine, hidden_values, keep_rows, through_hidden};
use crate::network::{Activation, Layer};
use crate::packed::{Aligned, whole_vectors};
use crate::product::{Rows, product};

/// A perceptron, packed for the path `K`.
pub(crate) struct PackedForward<K: Kernel> {
    layers: Vec<Affine<K>>,
    activation: Activation,
    n_inputs: usize,
    n_outputs: usize,
}

impl<K: Kernel> PackedForward<K> {
    pub(crate) fn new(layers: &[Layer<'_>], activation: Activation) -> Self {
        Self {
            activation,
            n_inputs: layers[0].n_inputs(),
            n_outputs: layers[layers.len() - 1].n_outputs(),
            layers: layers.iter().map(|layer| Affine::new(layer, 0.0)).collect(),
        }
    }
}

impl<K: Kernel> ForwardPath for PackedForward<K> {
    fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    fn forward(&self, input: &[f32], output: &mut [f32]) {
        let last = self.layers.len() - 1;
        let tile_rows = TILE_ROWS.min((input.len() / self.n_inputs).next_multiple_of(K::ROWS));
        let stride = whole_vectors::<K::Lanes>(self.n_inputs);
        let mut left = Aligned::zeros(tile_rows * stride);
        let mut values = hidden_values(&self.layers[..last], tile_rows);
        let width = self.layers[last].weight.width;
        let mut outputs = Aligned::<f32>::zeros(tile_rows * width);
        let tiles = input.chunks(tile_rows * self.n_inputs);
        for (input, output) in tiles.zip(output.chunks_mut(tile_rows * self.n_outputs)) {
            keep_rows::<K>(input, self.n_inputs, &mut left, stride);
            let n_rows = (input.len() / self.n_inputs).next_multiple_of(K::ROWS);
            let pass = Pass {
                network: self,
                left: Rows {
                    first: left.as_slice().as_ptr(),
                    stride,
                },
                values: &mut values,
                to: outputs.as_mut_slice().as_mut_ptr(),
                n_rows,
            };
            // SAFETY: a path is made only where its instructions are there; the memory holds
            // `tile_rows` rows, a multiple of the block's that is at least `n_rows`.
            unsafe { K::enter(pass) };
            let rows = outputs.as_slice().chunks_exact(width);
            for (to, from) in output.chunks_exact_mut(self.n_outputs).zip(rows) {
                to.copy_from_slice(&from[..self.n_outputs]);
            }
        }
    }
}

/// One tile's way through the layers.
struct Pass<'a, K: Kernel> {
    network: &'a PackedForward<K>,
    left: Rows<K::Factor>,
    values: &'a mut [Aligned<K::Factor>],
    to: *mut f32,
    n_rows: usize,
}

impl<K: Kernel> Work for Pass<'_, K> {
    #[inline(always)]
    unsafe fn run(self) {
        let (last, hidden) = (self.network.layers.split_last()).expect("a network has a layer");
        let epilogue = Plain {
            bias: last.bias.as_slice().as_ptr(),
            to: self.to,
            stride: last.weight.width,
        };
        unsafe {
            let activation = self.network.activation;
            let left = through_hidden(hidden, activation, self.left, self.values, self.n_rows);
            product::<K, _>(left, self.n_rows, &last.weight, &epilogue);
        }
    }
}
