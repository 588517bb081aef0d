//! A small network that flows are built from. Each datapoint has weights of its own, and the network maps that
//! datapoint's draws.

use super::columns::FeatureColumns;
use super::number::{FloatNumber, add_scaled, dot, sum};
use gap_torch::{NoiseStream, SeedKey};
use tch::Device;

/// A network with one hidden layer of `tanh` units, whose outputs are 0 where its parameters are 0.
///
/// Parameters are differences from fixed initial weights and biases: random ones in the hidden layer, and zeros
/// in the output layer. Searches and encoders start with parameters of 0, at which the outputs are 0 but their
/// gradient in the parameters is not.
pub struct Perceptron {
    n_inputs: usize,
    n_hidden: usize,
    n_outputs: usize,
    /// Weights `[H, I]` and biases `[H]` of the hidden layer at `λ = 0`.
    start: Vec<f64>,
}

/// The output of a forward pass, and what the backward pass needs of it.
pub struct PerceptronActivations<T> {
    /// `tanh` of the hidden layer, `[H, S]`.
    hidden: FeatureColumns<T>,
    /// The outputs, `[O, S]`.
    pub output: FeatureColumns<T>,
    weights: Vec<T>,
}

impl Perceptron {
    /// A network from `n_inputs` to `n_outputs` with `n_hidden` hidden units, whose initial weights are drawn
    /// with `key`.
    pub fn new(n_inputs: usize, n_hidden: usize, n_outputs: usize, key: SeedKey) -> Self {
        let normals =
            NoiseStream::new(key, &[0], Device::Cpu).normal_values(1, n_hidden * (n_inputs + 1));
        let scale = |i: usize| {
            if i < n_hidden * n_inputs {
                (n_inputs as f64).sqrt().recip()
            } else {
                INITIAL_BIAS_STD
            }
        };
        let start = normals.iter().enumerate();
        Self {
            n_inputs,
            n_hidden,
            n_outputs,
            start: start.map(|(i, &w)| f64::from(w) * scale(i)).collect(),
        }
    }

    /// The number of weights and biases of both layers.
    pub const fn n_params(&self) -> usize {
        self.n_hidden * (self.n_inputs + 1) + self.n_outputs * (self.n_hidden + 1)
    }

    /// The factor `1 / √H` of all output weights: parameters of unit size then give outputs of unit size.
    fn output_weight_scale<T: FloatNumber>(&self) -> T {
        T::from_f64((self.n_hidden as f64).sqrt().recip())
    }

    /// Computes the outputs at the inputs `x`: `I` columns of `n_samples` values.
    pub fn forward<T: FloatNumber>(
        &self,
        params: &[T],
        x: &[&[T]],
        n_samples: usize,
    ) -> PerceptronActivations<T> {
        let first = self.start.len();
        let start = self.start.iter().zip(&params[..first]);
        let weights: Vec<T> = start
            .map(|(&start, &param)| T::from_f64(start) + param)
            .collect();
        let (input_weights, biases) = weights.split_at(self.n_hidden * self.n_inputs);
        let mut hidden = FeatureColumns::zeros(self.n_hidden, n_samples);
        // tanh a = 1 − 2 / (1 + e^2a), by the fast exponentials of the kernels.
        for (h, &bias) in biases.iter().enumerate() {
            let column = hidden.feature_mut(h);
            column.fill(bias + bias);
            let row = &input_weights[h * self.n_inputs..][..self.n_inputs];
            for (&weight, x) in row.iter().zip(x) {
                add_scaled(column, weight + weight, x);
            }
        }
        T::exponentiate(hidden.values_mut());
        let (one, two) = (T::from_f64(1.0), T::from_f64(2.0));
        for value in hidden.values_mut() {
            *value = one - two / (one + *value);
        }
        let (hidden_weights, biases) = params[first..].split_at(self.n_outputs * self.n_hidden);
        let scale = self.output_weight_scale::<T>();
        let mut output = FeatureColumns::zeros(self.n_outputs, n_samples);
        for (o, &bias) in biases.iter().enumerate() {
            let column = output.feature_mut(o);
            column.fill(bias);
            let row = &hidden_weights[o * self.n_hidden..][..self.n_hidden];
            for (h, &weight) in row.iter().enumerate() {
                add_scaled(column, weight * scale, hidden.feature(h));
            }
        }
        PerceptronActivations {
            hidden,
            output,
            weights,
        }
    }

    /// Adds the gradient in the inputs to `in_x` (`I` columns), given the gradient `pull` (`[O, S]`) in the
    /// outputs.
    pub fn pull_back_to_inputs<T: FloatNumber>(
        &self,
        params: &[T],
        pass: &PerceptronActivations<T>,
        pull: &FeatureColumns<T>,
        in_x: &mut [&mut [T]],
    ) {
        let in_hidden = self.pull_back_to_hidden(params, pass, pull);
        for h in 0..self.n_hidden {
            let row = &pass.weights[h * self.n_inputs..][..self.n_inputs];
            for (&weight, in_x) in row.iter().zip(in_x.iter_mut()) {
                add_scaled(in_x, weight, in_hidden.feature(h));
            }
        }
    }

    /// Does what [`Self::pull_back_to_inputs`] does, and adds the gradient in the parameters, summed over
    /// draws, to `gradient`.
    pub fn pull_back<T: FloatNumber>(
        &self,
        params: &[T],
        pass: &PerceptronActivations<T>,
        x: &[&[T]],
        pull: &FeatureColumns<T>,
        in_x: &mut [&mut [T]],
        gradient: &mut [T],
    ) {
        let first = self.start.len();
        let scale = self.output_weight_scale::<T>();
        let (first_layer, second_layer) = gradient.split_at_mut(first);
        let (hidden_weights, in_biases) = second_layer.split_at_mut(self.n_outputs * self.n_hidden);
        for (o, in_bias) in in_biases.iter_mut().enumerate() {
            let pull = pull.feature(o);
            *in_bias += sum(pull);
            let row = &mut hidden_weights[o * self.n_hidden..][..self.n_hidden];
            for (h, in_weight) in row.iter_mut().enumerate() {
                *in_weight += dot(pull, pass.hidden.feature(h)) * scale;
            }
        }
        let in_hidden = self.pull_back_to_hidden(params, pass, pull);
        let (input_weights, in_biases) = first_layer.split_at_mut(self.n_hidden * self.n_inputs);
        for (h, in_bias) in in_biases.iter_mut().enumerate() {
            let pull = in_hidden.feature(h);
            *in_bias += sum(pull);
            let row = h * self.n_inputs;
            for (i, x) in x.iter().enumerate() {
                input_weights[row + i] += dot(pull, x);
                add_scaled(in_x[i], pass.weights[row + i], pull);
            }
        }
    }

    /// Returns the gradient in the arguments of the hidden units' `tanh`: `[H, S]`.
    fn pull_back_to_hidden<T: FloatNumber>(
        &self,
        params: &[T],
        pass: &PerceptronActivations<T>,
        pull: &FeatureColumns<T>,
    ) -> FeatureColumns<T> {
        let hidden_weights = &params[self.start.len()..];
        let scale = self.output_weight_scale::<T>();
        let mut in_hidden = FeatureColumns::zeros(self.n_hidden, pull.n_samples());
        for h in 0..self.n_hidden {
            let column = in_hidden.feature_mut(h);
            for o in 0..self.n_outputs {
                add_scaled(
                    column,
                    hidden_weights[o * self.n_hidden + h] * scale,
                    pull.feature(o),
                );
            }
            for (value, &hidden) in column.iter_mut().zip(pass.hidden.feature(h)) {
                *value *= T::from_f64(1.0) - hidden * hidden;
            }
        }
        in_hidden
    }
}

/// The standard deviation of hidden biases at the start, which spreads the bends of the units over the bulk of
/// standard-normal inputs.
const INITIAL_BIAS_STD: f64 = 0.5;
