//! The pass of a tile of rows: forward through the layers, the mean of the likelihood, and back.

use crate::TILE_ROWS;
use crate::epilogue::{Back, Hidden, Output, Score};
use crate::fused::{Path, Wanted};
use crate::lanes::{Kernel, Lanes, Work};
use crate::network::{Activation, Likelihood, Network};
use crate::packed::{Aligned, Packed, whole_vectors};
use crate::product::{Rows, product};
use std::f64::consts::TAU;
use std::sync::{Mutex, PoisonError};

/// The bias of outputs that only fill up a register: their mean is 0, and so is their term.
const NO_LOGIT: f32 = -1e4;

/// A layer, packed for both ways.
struct PackedLayer<K: Kernel> {
    forward: Packed<K>, // [in, out]
    bias: Aligned<f32>, // [out], filled up
    back: Packed<K>,    // [out, in]; of the last layer −W / dispersion
}

/// A decoder, packed for the path `K`.
pub(crate) struct PackedDecoder<K: Kernel> {
    layers: Vec<PackedLayer<K>>,
    activation: Activation,
    likelihood: Likelihood,
    latent_dim: usize,
    observed_dim: usize,
    /// Tiles that no evaluation has at the moment: fresh memory would cost as much as some rows.
    spare: Mutex<Vec<Tile<K>>>,
}

impl<K: Kernel> PackedDecoder<K> {
    pub(crate) fn new(network: &Network<'_>) -> Self {
        let last = network.layers.len() - 1;
        let dispersion = network.likelihood.dispersion() as f32;
        let layers = network.layers.iter().enumerate();
        let layers = layers.map(|(i, layer)| {
            let (n_in, n_out) = (layer.n_inputs(), layer.n_outputs());
            let scale = if i == last { -1.0 / dispersion } else { 1.0 };
            let mut bias = Aligned::zeros(whole_vectors::<K::Lanes>(n_out));
            if i == last && network.likelihood == Likelihood::Bernoulli {
                bias.as_mut_slice().fill(NO_LOGIT);
            }
            bias.as_mut_slice()[..n_out].copy_from_slice(layer.bias);
            let weight = |output: usize, input: usize| layer.weight[output * n_in + input];
            PackedLayer {
                forward: Packed::new(n_in, n_out, |input, output| weight(output, input)),
                bias,
                back: Packed::new(n_out, n_in, |output, input| weight(output, input) * scale),
            }
        });
        Self {
            layers: layers.collect(),
            activation: network.activation,
            likelihood: network.likelihood,
            latent_dim: network.layers[0].n_inputs(),
            observed_dim: network.layers[last].n_outputs(),
            spare: Mutex::default(),
        }
    }

    /// Widths of `z` and of the output, with what fills them up.
    fn widths(&self) -> [usize; 2] {
        let last = self.layers.len() - 1;
        [self.layers[0].back.width, self.layers[last].forward.width]
    }

    /// `log p(x | z)` from the sum of its terms, nats.
    fn log_likelihood(&self, sum: f64) -> f64 {
        match self.likelihood {
            Likelihood::Bernoulli => sum,
            Likelihood::Gaussian { std } => {
                let variance = std * std;
                -0.5 * (sum / variance + self.observed_dim as f64 * (TAU * variance).ln())
            }
        }
    }
}

/// Memory for the rows of one tile.
struct Tile<K: Kernel> {
    z: Aligned<K::Factor>,              // [TILE, D]
    values: Vec<Aligned<K::Factor>>,    // of the hidden layers, [TILE, h]
    excess: Aligned<K::Factor>,         // mean − x, [TILE, X]
    gradients: Vec<Aligned<K::Factor>>, // in the hidden layers' values, [TILE, h]
    score: Aligned<f32>,                // [TILE, D]
    sums: Aligned<f64>,                 // [TILE, LANES]
}

impl<K: Kernel> Tile<K> {
    fn of(decoder: &PackedDecoder<K>) -> Self {
        let [z_width, x_width] = decoder.widths();
        let hidden = &decoder.layers[..decoder.layers.len() - 1];
        let of_hidden = || {
            let widths = hidden.iter().map(|layer| layer.forward.width);
            widths
                .map(|width| Aligned::zeros(TILE_ROWS * width))
                .collect()
        };
        Self {
            z: Aligned::zeros(TILE_ROWS * z_width),
            values: of_hidden(),
            excess: Aligned::zeros(TILE_ROWS * x_width),
            gradients: of_hidden(),
            score: Aligned::zeros(TILE_ROWS * z_width),
            sums: Aligned::zeros(TILE_ROWS * K::Lanes::LANES),
        }
    }
}

impl<K: Kernel> Path for PackedDecoder<K> {
    fn latent_dim(&self) -> usize {
        self.latent_dim
    }

    fn observed_dim(&self) -> usize {
        self.observed_dim
    }

    fn padded_observed_dim(&self) -> usize {
        self.widths()[1]
    }

    fn evaluate(&self, x: &Aligned<f32>, observations: &[usize], z: &[f32], wanted: Wanted<'_>) {
        let dim = self.latent_dim();
        let spare = || self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let tile = spare().pop();
        let mut tile = tile.unwrap_or_else(|| Tile::of(self));
        let Wanted {
            mut score,
            mut log_likelihood,
        } = wanted;
        for start in (0..observations.len()).step_by(TILE_ROWS) {
            let end = (start + TILE_ROWS).min(observations.len());
            let wanted = Wanted {
                score: score.as_deref_mut().map(|s| &mut s[start * dim..end * dim]),
                log_likelihood: log_likelihood.as_deref_mut().map(|l| &mut l[start..end]),
            };
            let z = &z[start * dim..end * dim];
            self.evaluate_tile(
                &mut tile,
                x.as_slice(),
                &observations[start..end],
                z,
                wanted,
            );
        }
        spare().push(tile);
    }
}

impl<K: Kernel> PackedDecoder<K> {
    /// At least one row, at most [`TILE_ROWS`].
    fn evaluate_tile(
        &self,
        tile: &mut Tile<K>,
        x: &[f32],
        observations: &[usize],
        z: &[f32],
        wanted: Wanted<'_>,
    ) {
        let (dim, n_rows) = (self.latent_dim(), observations.len());
        let [z_width, x_width] = self.widths();
        let rows = tile.z.as_mut_slice().chunks_exact_mut(z_width);
        for (to, from) in rows.zip(z.chunks_exact(dim)) {
            for (to, from) in to.iter_mut().zip(from) {
                *to = K::factor(*from);
            }
        }
        // Rows that fill up the last block take the observation of the last row.
        let x_of = |row: usize| x[observations[row.min(n_rows - 1)] * x_width..].as_ptr();
        let x: [*const f32; TILE_ROWS] = std::array::from_fn(x_of);
        let pass = Pass {
            decoder: self,
            tile,
            n_rows: n_rows.next_multiple_of(K::ROWS),
            x: &x,
            with_likelihood: wanted.log_likelihood.is_some(),
            with_score: wanted.score.is_some(),
        };
        // SAFETY: a path is made only where its instructions are there; a tile has room for all of
        // its rows, and each row of `x` is as long as the packed output.
        unsafe { K::enter(pass) };
        if let Some(score) = wanted.score {
            let rows = tile.score.as_slice().chunks_exact(z_width);
            let places = score.chunks_exact_mut(dim).zip(z.chunks_exact(dim));
            for ((to, z), from) in places.zip(rows) {
                for ((to, z), from) in to.iter_mut().zip(z).zip(from) {
                    *to = from - z;
                }
            }
        }
        if let Some(values) = wanted.log_likelihood {
            let sums = tile.sums.as_slice().chunks_exact(K::Lanes::LANES);
            for (value, sums) in values.iter_mut().zip(sums) {
                *value = self.log_likelihood(sums.iter().sum());
            }
        }
    }
}

/// One tile's way through the layers.
struct Pass<'a, K: Kernel> {
    decoder: &'a PackedDecoder<K>,
    tile: &'a mut Tile<K>,
    n_rows: usize,
    x: &'a [*const f32],
    with_likelihood: bool,
    with_score: bool,
}

impl<K: Kernel> Work for Pass<'_, K> {
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

impl<K: Kernel> Pass<'_, K> {
    /// Through the layers, to `mean − x` and the terms of the log likelihood.
    #[inline(always)]
    unsafe fn forward(&mut self) {
        let (layers, tile) = (&self.decoder.layers, &mut *self.tile);
        let last = layers.len() - 1;
        let mut left = Rows {
            first: tile.z.as_slice().as_ptr(),
            stride: layers[0].back.width,
        };
        for (layer, values) in layers[..last].iter().zip(&mut tile.values) {
            let stride = layer.forward.width;
            let epilogue = Hidden::<K> {
                activation: self.decoder.activation,
                bias: layer.bias.as_slice().as_ptr(),
                to: values.as_mut_slice().as_mut_ptr(),
                stride,
            };
            unsafe { product::<K, _>(left, self.n_rows, &layer.forward, &epilogue) };
            let first = values.as_slice().as_ptr();
            left = Rows { first, stride };
        }
        let layer = &layers[last];
        tile.sums.as_mut_slice().fill(0.0);
        let excess = tile.excess.as_mut_slice().as_mut_ptr();
        let sums = tile.sums.as_mut_slice().as_mut_ptr();
        let epilogue = Output::<K> {
            likelihood: self.decoder.likelihood,
            bias: layer.bias.as_slice().as_ptr(),
            x: self.x,
            excess: self.with_score.then_some((excess, layer.forward.width)),
            terms: self.with_likelihood.then_some(sums),
        };
        unsafe { product::<K, _>(left, self.n_rows, &layer.forward, &epilogue) };
    }

    /// From `mean − x` back to `z`.
    #[inline(always)]
    unsafe fn back(&mut self) {
        let (layers, tile) = (&self.decoder.layers, &mut *self.tile);
        let last = layers.len() - 1;
        let mut left = Rows {
            first: tile.excess.as_slice().as_ptr(),
            stride: layers[last].forward.width,
        };
        for i in (0..last).rev() {
            let stride = layers[i].forward.width;
            let epilogue = Back::<K> {
                activation: self.decoder.activation,
                values: tile.values[i].as_slice().as_ptr(),
                to: tile.gradients[i].as_mut_slice().as_mut_ptr(),
                stride,
            };
            unsafe { product::<K, _>(left, self.n_rows, &layers[i + 1].back, &epilogue) };
            let first = tile.gradients[i].as_slice().as_ptr();
            left = Rows { first, stride };
        }
        let epilogue = Score {
            to: tile.score.as_mut_slice().as_mut_ptr(),
            stride: layers[0].back.width,
        };
        unsafe { product::<K, _>(left, self.n_rows, &layers[0].back, &epilogue) };
    }
}
