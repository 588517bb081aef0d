//! Multi-layer perceptrons: networks of affine layers.

pub use crate::activation::Activation;
use crate::layer::{Layer, LayerMap};
use crate::network::Network;
use gap_torch::SeedKey;
use tch::{Device, Tensor};

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

    /// Makes the first layer standardize its input: the new output at `x` is the old output at
    /// `(x − mean) / std`. `mean` and `std` are `[in]`.
    ///
    /// # Panics
    ///
    /// If the first layer is not affine.
    #[must_use]
    pub fn fold_in_standardization(mut self, mean: &Tensor, std: &Tensor) -> Self {
        let first = self.first_layer_mut();
        assert!(
            first.map == LayerMap::Affine,
            "a perceptron's layers are affine"
        );
        let kind = first.weight.kind();
        let weight = &first.weight / std.to_kind(kind);
        first.bias = &first.bias - weight.mv(&mean.to_kind(kind));
        first.weight = weight;
        self
    }
}
