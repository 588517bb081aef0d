//! Multi-layer perceptrons: networks of affine layers.

pub use crate::activation::Activation;
use crate::layer::Layer;
use crate::network::Network;
use gap_torch::SeedKey;
use tch::Device;

/// An alias of [`Network`], for code that makes perceptrons.
pub type Mlp = Network;

impl Network {
    /// Makes a perceptron with layers of the given widths (input, hidden, …, output), zero biases and normal
    /// weights of variance `1 / inputs` (LeCun et al. 1998, "Efficient BackProp", §4.6), drawn with `key`.
    ///
    /// # Panics
    ///
    /// If fewer than two widths are given.
    pub fn random_perceptron(
        widths: &[i64],
        activation: Activation,
        key: SeedKey,
        device: Device,
    ) -> Self {
        assert!(widths.len() >= 2, "a network has an input and an output");
        let pairs = widths.windows(2).zip(0..);
        let layers =
            pairs.map(|(pair, i)| Layer::random_affine(pair[0], pair[1], key.for_index(i), device));
        Self::from_layers(layers.collect(), activation)
    }
}
