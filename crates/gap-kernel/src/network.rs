//! The perceptron that a kernel is made from.

use gap_spec::Activation;

/// `p(x | output)`, up to terms that depend on `x` alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KernelLikelihood {
    /// Logits of binary observations.
    Bernoulli,
    /// Means of real observations with one standard deviation.
    Gaussian {
        /// The standard deviation.
        std: f64,
    },
}

impl KernelLikelihood {
    /// The variance of an observation over the derivative of its mean in the output.
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
    /// How many numbers it takes.
    pub fn n_inputs(&self) -> usize {
        self.weight.len() / self.bias.len()
    }

    /// How many numbers it gives.
    pub fn n_outputs(&self) -> usize {
        self.bias.len()
    }
}

/// Layers with an activation between them, and a likelihood of the last one's output.
#[derive(Clone, Copy, Debug)]
pub struct Network<'a> {
    /// At least one; each takes what the one before it gives.
    pub layers: &'a [Layer<'a>],
    /// Between two layers.
    pub activation: Activation,
    /// Of the output.
    pub likelihood: KernelLikelihood,
}

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
