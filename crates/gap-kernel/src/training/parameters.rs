//! What is learned: weights, biases and Adam's moments, in 32 bits whatever the precision of products.
//!
//! Weights are stored as `[in, out]`, and zeros pad both sides to whole registers. The zeros stay zero in
//! every product and every step.

use crate::adam::AdamStep;
use crate::lanes::Lanes;
use crate::network::Layer;
use crate::packed::{AlignedBuffer, round_up_to_lanes};
use gap_spec::Activation;

/// Parameters with Adam's moments.
pub(super) struct AdamParameters {
    pub(super) values: AlignedBuffer<f32>,
    pub(super) mean: AlignedBuffer<f32>,
    pub(super) square: AlignedBuffer<f32>,
}

impl AdamParameters {
    fn zeros(len: usize) -> Self {
        Self {
            values: AlignedBuffer::zeros(len),
            mean: AlignedBuffer::zeros(len),
            square: AlignedBuffer::zeros(len),
        }
    }

    fn is_finite(&self) -> bool {
        self.values.as_slice().iter().all(|value| value.is_finite())
    }

    fn buffers(&self) -> [&AlignedBuffer<f32>; 3] {
        [&self.values, &self.mean, &self.square]
    }

    const fn buffers_mut(&mut self) -> [&mut AlignedBuffer<f32>; 3] {
        [&mut self.values, &mut self.mean, &mut self.square]
    }
}

/// The parameters of a layer. Widths include padding.
pub(super) struct LearnedLayer {
    pub(super) n_in: usize,
    pub(super) n_out: usize,
    pub(super) in_width: usize,
    pub(super) out_width: usize,
    pub(super) weight: AdamParameters, // [in, out], both padded
    pub(super) bias: AdamParameters,   // [out], padded
}

impl LearnedLayer {
    fn new<L: Lanes>(layer: &Layer<'_>) -> Self {
        let (n_in, n_out) = (layer.n_inputs(), layer.n_outputs());
        let (in_width, out_width) = (round_up_to_lanes::<L>(n_in), round_up_to_lanes::<L>(n_out));
        let mut weight = AdamParameters::zeros(in_width * out_width);
        for (output, inputs) in layer.weight.chunks_exact(n_in).enumerate() {
            for (input, &value) in inputs.iter().enumerate() {
                weight.values.as_mut_slice()[input * out_width + output] = value;
            }
        }
        let mut bias = AdamParameters::zeros(out_width);
        bias.values.as_mut_slice()[..n_out].copy_from_slice(layer.bias);
        Self {
            n_in,
            n_out,
            in_width,
            out_width,
            weight,
            bias,
        }
    }

    /// Copies the weight, `[out, in]`, and the bias, without padding.
    fn copy_weight_and_bias(&self) -> (Vec<f32>, Vec<f32>) {
        let weight = self.weight.values.as_slice();
        let at = |o: usize, i: usize| weight[i * self.out_width + o];
        let rows = (0..self.n_out).flat_map(|o| (0..self.n_in).map(move |i| at(o, i)));
        let bias = &self.bias.values.as_slice()[..self.n_out];
        (rows.collect(), bias.to_vec())
    }
}

/// The parameters of a perceptron that learns from at most `most_rows` rows at a time.
pub(super) struct LearnedNetwork {
    pub(super) layers: Vec<LearnedLayer>,
    pub(super) activation: Activation,
    pub(super) most_rows: usize,
    pub(super) n_steps: i32,
}

impl LearnedNetwork {
    /// Counts one more step and returns it.
    pub(super) fn begin_next_step(&mut self, learning_rate: f64) -> AdamStep {
        self.n_steps = self.n_steps.saturating_add(1);
        AdamStep::from_step_number(self.n_steps, learning_rate)
    }

    /// Starts from the weights in `layers`, padded to whole registers of `L`.
    pub(super) fn new<L: Lanes>(
        layers: &[Layer<'_>],
        activation: Activation,
        most_rows: usize,
    ) -> Self {
        Self {
            layers: layers.iter().map(LearnedLayer::new::<L>).collect(),
            activation,
            most_rows,
            n_steps: 0,
        }
    }

    pub(super) fn n_inputs(&self) -> usize {
        self.layers[0].n_in
    }

    pub(super) fn n_outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].n_out
    }

    pub(super) fn is_finite(&self) -> bool {
        let mut layers = self.layers.iter();
        layers.all(|layer| layer.weight.is_finite() && layer.bias.is_finite())
    }

    /// All parameters with their moments, padding included.
    pub(super) fn copy_state(&self) -> Vec<f32> {
        let layers = self.layers.iter();
        let parameters = layers.flat_map(|layer| [&layer.weight, &layer.bias]);
        let buffers = parameters.flat_map(AdamParameters::buffers);
        buffers
            .flat_map(|buffer| buffer.as_slice())
            .copied()
            .collect()
    }

    /// Goes back to what [`Self::copy_state`] returned after `n_steps` steps; `false`, with nothing changed, if it has
    /// another length.
    pub(super) fn restore_state(&mut self, state: &[f32], n_steps: i32) -> bool {
        let layers = self.layers.iter_mut();
        let parameters = layers.flat_map(|layer| [&mut layer.weight, &mut layer.bias]);
        let buffers: Vec<&mut [f32]> = parameters
            .flat_map(AdamParameters::buffers_mut)
            .map(AlignedBuffer::as_mut_slice)
            .collect();
        let len: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        if state.len() != len {
            return false;
        }
        let mut rest = state;
        for buffer in buffers {
            let (own, others) = rest.split_at(buffer.len());
            buffer.copy_from_slice(own);
            rest = others;
        }
        self.n_steps = n_steps;
        true
    }

    pub(super) fn copy_layers(&self) -> Vec<(Vec<f32>, Vec<f32>)> {
        self.layers
            .iter()
            .map(LearnedLayer::copy_weight_and_bias)
            .collect()
    }
}
