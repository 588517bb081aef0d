//! The perceptron that a kernel is made from: layers, activation and likelihood.

use gap_spec::Activation;

/// The likelihood `p(x | output)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KernelLikelihood {
    /// Binary observations; the outputs are logits.
    Bernoulli,
    /// Real observations, all with the same standard deviation; the outputs are their means.
    Gaussian {
        /// The standard deviation.
        std: f64,
    },
}

impl KernelLikelihood {
    /// The variance of an observation, divided by the derivative of its mean with respect to the output. The
    /// gradient of the log likelihood with respect to the output is `(x − mean) / dispersion`.
    pub(crate) fn dispersion(self) -> f64 {
        match self {
            Self::Bernoulli => 1.0,
            Self::Gaussian { std } => std * std,
        }
    }
}

/// An affine layer: `output = weight · input + bias`.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// `[outputs, inputs]`, row after row.
    pub weight: &'a [f32],
    /// `[outputs]`.
    pub bias: &'a [f32],
}

impl Layer<'_> {
    /// The number of inputs.
    pub fn n_inputs(&self) -> usize {
        self.weight.len() / self.bias.len()
    }

    /// The number of outputs.
    pub fn n_outputs(&self) -> usize {
        self.bias.len()
    }
}

/// Layers with an activation between them, and the likelihood of an observation given the output.
#[derive(Clone, Copy, Debug)]
pub struct Network<'a> {
    /// At least one layer; each takes the outputs of the one before it.
    pub layers: &'a [Layer<'a>],
    /// The activation between two layers.
    pub activation: Activation,
    /// The likelihood of an observation given the last layer's output.
    pub likelihood: KernelLikelihood,
}

/// Checks that there are layers, that none is empty, and that they fit each other.
///
/// # Panics
///
/// If layers are missing, empty, or do not fit each other.
pub(crate) fn check_layers(layers: &[Layer<'_>]) {
    assert!(!layers.is_empty(), "a network has a layer");
    for layer in layers {
        assert!(!layer.bias.is_empty(), "a layer has outputs");
        let full = layer.n_inputs() * layer.n_outputs() == layer.weight.len();
        assert!(full && layer.n_inputs() > 0, "a weight is a matrix");
    }
    for pair in layers.windows(2) {
        assert_eq!(pair[0].n_outputs(), pair[1].n_inputs(), "layers fit");
    }
}
