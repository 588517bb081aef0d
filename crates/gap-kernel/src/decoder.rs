//! The pass of a tile of rows through a decoder: forward through the layers to the likelihood's mean, and
//! back.

use crate::TILE_ROWS;
use crate::epilogue::{ActivationGradientEpilogue, LikelihoodEpilogue, StoreEpilogue};
use crate::lanes::{Lanes, ProductKernel, VectorWork};
use crate::layers::{PackedAffineLayer, allocate_hidden_values, store_rows, through_hidden};
use crate::network::{KernelLikelihood, Network};
use crate::packed::{AlignedBuffer, PackedWeight};
use crate::paths::{DecoderOutputs, DecoderPath};
use crate::product::{StridedRows, product};
use gap_spec::Activation;
use std::f64::consts::TAU;
use std::sync::{Mutex, PoisonError};

/// The bias of padding outputs under a Bernoulli likelihood: their mean is then practically 0, and their term
/// of the log likelihood is 0.
const PADDING_LOGIT_BIAS: f32 = -1e4;

/// A decoder, packed for the kernel `K`.
pub(crate) struct PackedDecoder<K: ProductKernel> {
    forward: Vec<PackedAffineLayer<K>>,
    /// Each layer's weight as the right factor of the backward product, `[out, in]`; the last layer's is
    /// `−W / dispersion`.
    back: Vec<PackedWeight<K>>,
    activation: Activation,
    likelihood: KernelLikelihood,
    latent_dim: usize,
    observed_dim: usize,
    /// Tile memory that no evaluation is using. It is kept since allocating it anew would take as long as
    /// evaluating some rows.
    spare: Mutex<Vec<DecoderTileMemory<K>>>,
}

impl<K: ProductKernel> PackedDecoder<K> {
    pub(crate) fn new(network: &Network<'_>) -> Self {
        let last = network.layers.len() - 1;
        let dispersion = network.likelihood.dispersion() as f32;
        let is_bernoulli = network.likelihood == KernelLikelihood::Bernoulli;
        let forward = network.layers.iter().enumerate().map(|(i, layer)| {
            let filler = if i == last && is_bernoulli {
                PADDING_LOGIT_BIAS
            } else {
                0.0
            };
            PackedAffineLayer::new(layer, filler)
        });
        let back = network.layers.iter().enumerate().map(|(i, layer)| {
            let (n_in, n_out) = (layer.n_inputs(), layer.n_outputs());
            let scale = if i == last { -1.0 / dispersion } else { 1.0 };
            PackedWeight::new(n_out, n_in, |output, input| {
                layer.weight[output * n_in + input] * scale
            })
        });
        Self {
            forward: forward.collect(),
            back: back.collect(),
            activation: network.activation,
            likelihood: network.likelihood,
            latent_dim: network.layers[0].n_inputs(),
            observed_dim: network.layers[last].n_outputs(),
            spare: Mutex::default(),
        }
    }

    /// The widths of `z` and of the output, padded to whole registers.
    fn padded_widths(&self) -> [usize; 2] {
        let last = self.forward.len() - 1;
        [self.back[0].width, self.forward[last].weight.width]
    }

    /// Returns `log p(x | z)` in nats, given the `sum` of its terms (for a Gaussian, of the squared residuals).
    fn log_likelihood_from_sum(&self, sum: f64) -> f64 {
        match self.likelihood {
            KernelLikelihood::Bernoulli => sum,
            KernelLikelihood::Gaussian { std } => {
                let variance = std * std;
                -0.5 * (sum / variance + self.observed_dim as f64 * (TAU * variance).ln())
            }
        }
    }
}

/// Memory for the rows of one tile.
struct DecoderTileMemory<K: ProductKernel> {
    z: AlignedBuffer<K::Factor>,              // [TILE, D]
    values: Vec<AlignedBuffer<K::Factor>>,    // the hidden layers' values, [TILE, h]
    excess: AlignedBuffer<K::Factor>,         // mean − x, [TILE, X]
    gradients: Vec<AlignedBuffer<K::Factor>>, // with respect to hidden pre-activations, [TILE, h]
    score: AlignedBuffer<f32>,                // [TILE, D]
    sums: AlignedBuffer<f64>,                 // terms of the log likelihood, [TILE, LANES]
}

impl<K: ProductKernel> DecoderTileMemory<K> {
    fn new(decoder: &PackedDecoder<K>) -> Self {
        let [z_width, x_width] = decoder.padded_widths();
        let hidden_memory =
            || allocate_hidden_values(&decoder.forward[..decoder.forward.len() - 1], TILE_ROWS);
        Self {
            z: AlignedBuffer::zeros(TILE_ROWS * z_width),
            values: hidden_memory(),
            excess: AlignedBuffer::zeros(TILE_ROWS * x_width),
            gradients: hidden_memory(),
            score: AlignedBuffer::zeros(TILE_ROWS * z_width),
            sums: AlignedBuffer::zeros(TILE_ROWS * K::Lanes::LANES),
        }
    }
}

impl<K: ProductKernel> DecoderPath for PackedDecoder<K> {
    fn latent_dim(&self) -> usize {
        self.latent_dim
    }

    fn observed_dim(&self) -> usize {
        self.observed_dim
    }

    fn padded_observed_dim(&self) -> usize {
        self.padded_widths()[1]
    }

    fn evaluate(
        &self,
        x: &AlignedBuffer<f32>,
        observations: &[usize],
        z: &[f32],
        outputs: DecoderOutputs<'_>,
    ) {
        let dim = self.latent_dim();
        let spare = || self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let tile = spare().pop();
        let mut tile = tile.unwrap_or_else(|| DecoderTileMemory::new(self));
        let DecoderOutputs {
            mut score,
            mut log_likelihood,
            precision,
        } = outputs;
        for start in (0..observations.len()).step_by(TILE_ROWS) {
            let end = (start + TILE_ROWS).min(observations.len());
            let outputs = DecoderOutputs {
                score: score.as_deref_mut().map(|s| &mut s[start * dim..end * dim]),
                log_likelihood: log_likelihood.as_deref_mut().map(|l| &mut l[start..end]),
                precision,
            };
            let z = &z[start * dim..end * dim];
            self.evaluate_tile(
                &mut tile,
                x.as_slice(),
                &observations[start..end],
                z,
                outputs,
            );
        }
        spare().push(tile);
    }
}

impl<K: ProductKernel> PackedDecoder<K> {
    /// Evaluates the decoder on one tile; `observations` and `z` must have 1 to [`TILE_ROWS`] rows.
    fn evaluate_tile(
        &self,
        tile: &mut DecoderTileMemory<K>,
        x: &[f32],
        observations: &[usize],
        z: &[f32],
        outputs: DecoderOutputs<'_>,
    ) {
        let (dim, n_rows) = (self.latent_dim(), observations.len());
        let [z_width, x_width] = self.padded_widths();
        // Padding rows of the last block use the observation of the last row.
        let x_of = |row: usize| x[observations[row.min(n_rows - 1)] * x_width..].as_ptr();
        let x: [*const f32; TILE_ROWS] = std::array::from_fn(x_of);
        let pass = DecoderPass {
            decoder: self,
            tile,
            z,
            n_rows: n_rows.next_multiple_of(K::MICROKERNEL_ROWS),
            x: &x,
            with_likelihood: outputs.log_likelihood.is_some(),
            with_score: outputs.score.is_some(),
        };
        // SAFETY: a decoder is packed only for instructions that this processor supports; a tile has room for
        // all its rows, and each row of `x` is as long as the packed output.
        unsafe { K::run_with_instructions(pass) };
        if let Some(score) = outputs.score {
            let rows = tile.score.as_slice().chunks_exact(z_width);
            let places = score.chunks_exact_mut(dim).zip(z.chunks_exact(dim));
            for ((to, z), from) in places.zip(rows) {
                for ((to, z), from) in to.iter_mut().zip(z).zip(from) {
                    *to = from - z;
                }
            }
        }
        if let Some(values) = outputs.log_likelihood {
            let sums = tile.sums.as_slice().chunks_exact(K::Lanes::LANES);
            for (value, sums) in values.iter_mut().zip(sums) {
                *value = self.log_likelihood_from_sum(sums.iter().sum());
            }
        }
    }
}

/// The pass of one tile through the layers.
struct DecoderPass<'a, K: ProductKernel> {
    decoder: &'a PackedDecoder<K>,
    tile: &'a mut DecoderTileMemory<K>,
    z: &'a [f32],
    n_rows: usize,
    x: &'a [*const f32],
    with_likelihood: bool,
    with_score: bool,
}

impl<K: ProductKernel> VectorWork for DecoderPass<'_, K> {
    #[inline(always)]
    unsafe fn run(mut self) {
        unsafe {
            self.forward();
            if self.with_score {
                self.back();
            }
        }
    }
}

impl<K: ProductKernel> DecoderPass<'_, K> {
    /// Computes `mean − x` and the terms of the log likelihood, each if it is asked for.
    #[inline(always)]
    unsafe fn forward(&mut self) {
        let (decoder, tile) = (self.decoder, &mut *self.tile);
        let rows = self.z.chunks_exact(decoder.latent_dim);
        unsafe { store_rows::<K>(rows, &mut tile.z, decoder.back[0].width) };
        let (layer, hidden) = (decoder.forward.split_last()).expect("a network has a layer");
        let z = StridedRows {
            first: tile.z.as_slice().as_ptr(),
            stride: decoder.back[0].width,
        };
        let (activation, values) = (decoder.activation, &mut tile.values);
        let left = unsafe { through_hidden(hidden, activation, z, values, self.n_rows) };
        if self.with_likelihood {
            tile.sums.as_mut_slice().fill(0.0);
        }
        let excess = tile.excess.as_mut_slice().as_mut_ptr();
        let sums = tile.sums.as_mut_slice().as_mut_ptr();
        let epilogue = LikelihoodEpilogue::<K> {
            likelihood: self.decoder.likelihood,
            bias: layer.bias.as_slice().as_ptr(),
            x: self.x,
            excess: self.with_score.then_some((excess, layer.weight.width)),
            terms: self.with_likelihood.then_some(sums),
        };
        unsafe { product::<K, _>(left, self.n_rows, &layer.weight, &epilogue) };
    }

    /// Computes the gradient of the log likelihood with respect to `z`, backwards from `mean − x`.
    #[inline(always)]
    unsafe fn back(&mut self) {
        let (forward, back) = (&self.decoder.forward, &self.decoder.back);
        let tile = &mut *self.tile;
        let last = forward.len() - 1;
        let mut left = StridedRows {
            first: tile.excess.as_slice().as_ptr(),
            stride: forward[last].weight.width,
        };
        for i in (0..last).rev() {
            let stride = forward[i].weight.width;
            let epilogue = ActivationGradientEpilogue::<K> {
                activation: self.decoder.activation,
                values: tile.values[i].as_slice().as_ptr(),
                to: tile.gradients[i].as_mut_slice().as_mut_ptr(),
                stride,
            };
            unsafe { product::<K, _>(left, self.n_rows, &back[i + 1], &epilogue) };
            let first = tile.gradients[i].as_slice().as_ptr();
            left = StridedRows { first, stride };
        }
        let epilogue = StoreEpilogue {
            to: tile.score.as_mut_slice().as_mut_ptr(),
            stride: back[0].width,
        };
        unsafe { product::<K, _>(left, self.n_rows, &back[0], &epilogue) };
    }
}
