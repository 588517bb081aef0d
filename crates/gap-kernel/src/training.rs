//! A perceptron that learns: forward, back to its weights, and a step of Adam.
//!
//! Weights change at each step, so they are not packed: they lie input after input, `[in, out]`, as the
//! way forward and Adam take them, and a transposed copy is made for the way back. Everything is filled
//! up with zeros to whole registers on both sides; zeros stay zeros in every product and every step.

use crate::epilogue::{Back, Hidden, Plain, Score};
use crate::fused::TrainingPath;
use crate::lanes::{Kernel, Work};
use crate::network::{Activation, Layer};
use crate::packed::{Aligned, whole_vectors};
use crate::product::{Rows, unpacked_product};

const MEAN_DECAY: f32 = 0.9;
const SQUARE_DECAY: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Parameters with their gradient and Adam's moments.
struct Parameters {
    values: Aligned<f32>,
    gradient: Aligned<f32>,
    mean: Aligned<f32>,
    square: Aligned<f32>,
}

impl Parameters {
    fn zeros(len: usize) -> Self {
        Self {
            values: Aligned::zeros(len),
            gradient: Aligned::zeros(len),
            mean: Aligned::zeros(len),
            square: Aligned::zeros(len),
        }
    }
}

/// A layer that learns.
struct TrainedLayer {
    n_in: usize,
    n_out: usize,
    in_width: usize,
    out_width: usize,
    weight: Parameters,   // [in, out], both filled up
    bias: Parameters,     // [out], filled up
    back: Aligned<f32>,   // the weight as [out, in], filled up
    value: Aligned<f32>,  // the layer's output, [rows, out]
    pulled: Aligned<f32>, // the gradient in it, [rows, out]
}

/// A perceptron that learns from at most so many rows at a time, on the path `K`.
pub(crate) struct Trained<K: Kernel> {
    layers: Vec<TrainedLayer>,
    activation: Activation,
    input: Aligned<f32>,    // [rows, in]
    in_input: Aligned<f32>, // the gradient in it, if it was asked for
    n_rows: usize,
    most_rows: usize,
    steps: i32,
    path: std::marker::PhantomData<K>,
}

impl<K: Kernel<Factor = f32>> Trained<K> {
    pub(crate) fn new(layers: &[Layer<'_>], activation: Activation, most_rows: usize) -> Self {
        let rows = most_rows.next_multiple_of(K::ROWS);
        let trained = |layer: &Layer<'_>| {
            let (n_in, n_out) = (layer.n_inputs(), layer.n_outputs());
            let in_width = whole_vectors::<K::Lanes>(n_in);
            let out_width = whole_vectors::<K::Lanes>(n_out);
            let mut weight = Parameters::zeros(in_width * out_width);
            for (output, inputs) in layer.weight.chunks_exact(n_in).enumerate() {
                for (input, &value) in inputs.iter().enumerate() {
                    weight.values.as_mut_slice()[input * out_width + output] = value;
                }
            }
            let mut bias = Parameters::zeros(out_width);
            bias.values.as_mut_slice()[..n_out].copy_from_slice(layer.bias);
            let mut trained = TrainedLayer {
                n_in,
                n_out,
                in_width,
                out_width,
                weight,
                bias,
                back: Aligned::zeros(in_width * out_width),
                value: Aligned::zeros(rows * out_width),
                pulled: Aligned::zeros(rows * out_width),
            };
            trained.transpose();
            trained
        };
        let layers: Vec<TrainedLayer> = layers.iter().map(trained).collect();
        Self {
            input: Aligned::zeros(rows * layers[0].in_width),
            in_input: Aligned::zeros(rows * layers[0].in_width),
            layers,
            activation,
            n_rows: 0,
            most_rows,
            steps: 0,
            path: std::marker::PhantomData,
        }
    }

    /// Rows in whole blocks.
    fn whole_rows(&self) -> usize {
        self.n_rows.next_multiple_of(K::ROWS)
    }
}

impl TrainedLayer {
    /// Copies the weight for the way back, in squares that stay in cache.
    fn transpose(&mut self) {
        const SIDE: usize = 16;
        let weight = self.weight.values.as_slice();
        let back = self.back.as_mut_slice();
        for output in (0..self.out_width).step_by(SIDE) {
            for input in (0..self.in_width).step_by(SIDE) {
                for o in output..(output + SIDE).min(self.out_width) {
                    for i in input..(input + SIDE).min(self.in_width) {
                        back[o * self.in_width + i] = weight[i * self.out_width + o];
                    }
                }
            }
        }
    }
}

impl<K: Kernel<Factor = f32>> TrainingPath for Trained<K> {
    fn n_inputs(&self) -> usize {
        self.layers[0].n_in
    }

    fn n_outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].n_out
    }

    fn most_rows(&self) -> usize {
        self.most_rows
    }

    fn forward(&mut self, input: &[f32], output: &mut [f32]) {
        let (n_in, n_out) = (self.n_inputs(), self.n_outputs());
        self.n_rows = input.len() / n_in;
        let stride = self.layers[0].in_width;
        let places = self.input.as_mut_slice().chunks_exact_mut(stride);
        for (place, row) in places.zip(input.chunks_exact(n_in)) {
            place[..n_in].copy_from_slice(row);
        }
        // SAFETY: a path is made only where its instructions are there, and memory holds whole blocks
        // of the most rows.
        unsafe { K::enter(Forward(self)) };
        let last = &self.layers[self.layers.len() - 1];
        let rows = last.value.as_slice().chunks_exact(last.out_width);
        for (to, from) in output.chunks_exact_mut(n_out).zip(rows) {
            to.copy_from_slice(&from[..n_out]);
        }
    }

    fn ascend(&mut self, gradient: &[f32], learning_rate: f64, in_input: Option<&mut [f32]>) {
        let (n_rows, n_out) = (self.n_rows, self.n_outputs());
        let last = self.layers.len() - 1;
        let layer = &mut self.layers[last];
        let places = layer
            .pulled
            .as_mut_slice()
            .chunks_exact_mut(layer.out_width);
        for (place, row) in places.take(n_rows).zip(gradient.chunks_exact(n_out)) {
            place[..n_out].copy_from_slice(row);
        }
        self.steps += 1;
        let rate = learning_rate / (1.0 - f64::from(MEAN_DECAY).powi(self.steps));
        let unbias = (1.0 - f64::from(SQUARE_DECAY).powi(self.steps))
            .sqrt()
            .recip();
        let step = Ascend {
            network: self,
            rate: rate as f32,
            unbias: unbias as f32,
            to_input: in_input.is_some(),
        };
        // SAFETY: as in `forward`.
        unsafe { K::enter(step) };
        if let Some(in_input) = in_input {
            let (n_in, stride) = (self.n_inputs(), self.layers[0].in_width);
            let rows = self.in_input.as_slice().chunks_exact(stride);
            for (to, from) in in_input.chunks_exact_mut(n_in).zip(rows) {
                to.copy_from_slice(&from[..n_in]);
            }
        }
    }

    fn is_finite(&self) -> bool {
        let finite = |p: &Parameters| p.values.as_slice().iter().all(|value| value.is_finite());
        let mut layers = self.layers.iter();
        layers.all(|layer| finite(&layer.weight) && finite(&layer.bias))
    }

    fn layers(&self) -> Vec<(Vec<f32>, Vec<f32>)> {
        let layers = self.layers.iter().map(|layer| {
            let outputs = layer.back.as_slice().chunks_exact(layer.in_width);
            let weight = outputs.take(layer.n_out).flat_map(|row| &row[..layer.n_in]);
            let bias = &layer.bias.values.as_slice()[..layer.n_out];
            (weight.copied().collect(), bias.to_vec())
        });
        layers.collect()
    }
}

/// Through the layers; every value is kept.
struct Forward<'a, K: Kernel>(&'a mut Trained<K>);

impl<K: Kernel<Factor = f32>> Work for Forward<'_, K> {
    #[inline(always)]
    unsafe fn run(self) {
        let network = self.0;
        let (n_rows, last) = (network.whole_rows(), network.layers.len() - 1);
        let mut left = Rows {
            first: network.input.as_slice().as_ptr(),
            stride: network.layers[0].in_width,
        };
        for (i, layer) in network.layers.iter_mut().enumerate() {
            let stride = layer.out_width;
            let right = Rows {
                first: layer.weight.values.as_slice().as_ptr(),
                stride,
            };
            let bias = layer.bias.values.as_slice().as_ptr();
            let to = layer.value.as_mut_slice().as_mut_ptr();
            unsafe {
                if i < last {
                    let epilogue = Hidden::<K> {
                        activation: network.activation,
                        bias,
                        to,
                        stride,
                    };
                    unpacked_product::<K, _>(left, n_rows, right, layer.n_in, stride, &epilogue);
                } else {
                    let epilogue = Plain { bias, to, stride };
                    unpacked_product::<K, _>(left, n_rows, right, layer.n_in, stride, &epilogue);
                }
            }
            let first = layer.value.as_slice().as_ptr();
            left = Rows { first, stride };
        }
    }
}

/// Back through the layers to their gradients, then a step up them.
struct Ascend<'a, K: Kernel> {
    network: &'a mut Trained<K>,
    rate: f32,
    unbias: f32,
    to_input: bool,
}

impl<K: Kernel<Factor = f32>> Work for Ascend<'_, K> {
    #[inline(always)]
    unsafe fn run(self) {
        let (n_rows, whole_rows) = (self.network.n_rows, self.network.whole_rows());
        let network = self.network;
        for i in (0..network.layers.len()).rev() {
            let (before, rest) = network.layers.split_at_mut(i);
            let layer = &mut rest[0];
            let pulled = Rows {
                first: layer.pulled.as_slice().as_ptr(),
                stride: layer.out_width,
            };
            let input = match before.last() {
                Some(before) => before.value.as_slice().as_ptr(),
                None => network.input.as_slice().as_ptr(),
            };
            let input = Rows {
                first: input,
                stride: layer.in_width,
            };
            // In the weights: the rows that fill up the last block are not taken.
            let in_weight = Score {
                to: layer.weight.gradient.as_mut_slice().as_mut_ptr(),
                stride: layer.out_width,
            };
            let (n_in, n_out) = (layer.in_width, layer.out_width);
            let columns = input.transposed();
            unsafe { unpacked_product::<K, _>(columns, n_in, pulled, n_rows, n_out, &in_weight) };
            let in_bias = layer.bias.gradient.as_mut_slice();
            in_bias.fill(0.0);
            for row in layer.pulled.as_slice().chunks_exact(n_out).take(n_rows) {
                for (sum, value) in in_bias.iter_mut().zip(row) {
                    *sum += value;
                }
            }
            let right = Rows {
                first: layer.back.as_slice().as_ptr(),
                stride: n_in,
            };
            let depth = layer.n_out;
            if let Some(before) = before.last_mut() {
                let epilogue = Back::<K> {
                    activation: network.activation,
                    values: before.value.as_slice().as_ptr(),
                    to: before.pulled.as_mut_slice().as_mut_ptr(),
                    stride: n_in,
                };
                unsafe {
                    unpacked_product::<K, _>(pulled, whole_rows, right, depth, n_in, &epilogue);
                }
            } else if self.to_input {
                let epilogue = Score {
                    to: network.in_input.as_mut_slice().as_mut_ptr(),
                    stride: n_in,
                };
                unsafe {
                    unpacked_product::<K, _>(pulled, whole_rows, right, depth, n_in, &epilogue);
                }
            }
        }
        for layer in &mut network.layers {
            for parameters in [&mut layer.weight, &mut layer.bias] {
                step_up(parameters, self.rate, self.unbias);
            }
            layer.transpose();
        }
    }
}

/// Adam (Kingma and Ba 2015, Algorithm 1), uphill.
#[inline(always)]
fn step_up(parameters: &mut Parameters, rate: f32, unbias: f32) {
    let moments = parameters.mean.as_mut_slice().iter_mut();
    let moments = moments.zip(parameters.square.as_mut_slice());
    let values = parameters.values.as_mut_slice().iter_mut();
    let values = values.zip(parameters.gradient.as_slice());
    for ((value, &gradient), (mean, square)) in values.zip(moments) {
        *mean += (1.0 - MEAN_DECAY) * (gradient - *mean);
        *square += (1.0 - SQUARE_DECAY) * (gradient * gradient - *square);
        *value += rate * *mean / (square.sqrt() * unbias + EPSILON);
    }
}
