//! Networks whose weights are plain tensors; decoders and encoders are made of them.
//!
//! A network is a chain of layers of any kind, so that fitting, evaluation and storage are written once.
//! [`crate::mlp`] and [`crate::convolution`] make networks; the fused kernels support only networks whose
//! layers are all affine.

use crate::activation::{Activation, activate, activate_in_place, pull_back_in_place};
use crate::backend::Backend;
use crate::layer::{Layer, LayerMap};
use gap_torch::align_rows;
use gap_torch::checkpoint::{Checkpoint, CheckpointError};
use tch::{Device, Kind, Tensor};

/// A chain of layers, with an activation after each but the last.
pub struct Network {
    layers: Vec<Layer>,
    activation: Activation,
    backend: Backend,
}

impl Network {
    /// Makes a network of `layers`, each of which takes the output of the one before it.
    ///
    /// # Panics
    ///
    /// If there are no layers, or their widths do not fit.
    pub(crate) fn from_layers(layers: Vec<Layer>, activation: Activation) -> Self {
        assert!(!layers.is_empty(), "a network has a layer");
        let fit = |pair: &[Layer]| pair[0].n_outputs() == pair[1].n_inputs();
        assert!(layers.windows(2).all(fit), "layers fit");
        Self {
            layers,
            activation,
            backend: Backend::default(),
        }
    }

    /// The same network, computed by `backend` if the kernels support it, and by libtorch otherwise. Without
    /// this call the backend is [`Backend::default`].
    #[must_use]
    pub const fn with_backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// The backend that computes the network if the kernels support it.
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// The same network after the weights and biases of its first `n` outputs were multiplied by `factor`, and those
    /// of all others by 0.
    ///
    /// # Panics
    ///
    /// If the last layer is not affine.
    #[must_use]
    pub fn with_first_outputs_times(self, n: i64, factor: f64) -> Self {
        let last = self.layers.last().expect("a network has a layer");
        assert!(last.map == LayerMap::Affine, "the last layer is affine");
        for tensor in [&last.weight, &last.bias] {
            let _ = tensor.narrow(0, 0, n).g_mul_scalar_(factor);
            let _ = tensor.narrow(0, n, last.n_outputs() - n).zero_();
        }
        self
    }

    /// The network's output, differentiable: `[N, in] -> [N, out]`.
    pub fn forward(&self, input: &Tensor) -> Tensor {
        let (last, before) = self.layers.split_last().expect("a network has a layer");
        let mut value = input.shallow_clone();
        for layer in before {
            value = activate(self.activation, &layer.apply(&align_rows(&value)));
        }
        last.apply(&align_rows(&value))
    }

    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    pub(crate) const fn activation(&self) -> Activation {
        self.activation
    }

    /// Whether all layers are affine.
    pub fn is_perceptron(&self) -> bool {
        self.layers
            .iter()
            .all(|layer| layer.map == LayerMap::Affine)
    }

    /// Width of the input.
    pub fn input_dim(&self) -> i64 {
        self.layers[0].n_inputs()
    }

    /// Width of the output.
    pub fn output_dim(&self) -> i64 {
        self.layers[self.layers.len() - 1].n_outputs()
    }

    /// The number of weights and biases.
    pub fn n_weights(&self) -> u64 {
        self.parameters().iter().map(|p| p.numel() as u64).sum()
    }

    /// The weights and biases, sharing storage with the network.
    pub fn parameters(&self) -> Vec<Tensor> {
        self.layers
            .iter()
            .flat_map(|layer| [layer.weight.shallow_clone(), layer.bias.shallow_clone()])
            .collect()
    }

    /// Copies the weights and biases to `memory`, `[P]`, one after the other, and uses them from there: later
    /// changes of `memory` change the network. `memory` must have the network's kind.
    ///
    /// # Panics
    ///
    /// If `memory` does not hold exactly [`Network::n_weights`] numbers.
    pub fn move_parameters_into(&mut self, memory: &Tensor) {
        let parameters = self.parameters();
        let places = views_shaped_like(memory, &parameters);
        for (layer, place) in self.layers.iter_mut().zip(places.chunks_exact(2)) {
            let [weight, bias] = place else {
                unreachable!("a layer has a weight and a bias")
            };
            for (place, value) in [(weight, &layer.weight), (bias, &layer.bias)] {
                place.shallow_clone().copy_(value);
            }
            layer.weight = weight.shallow_clone();
            layer.bias = bias.shallow_clone();
        }
    }

    /// Computes a forward pass and returns all its values: the input, each hidden layer's value, and the
    /// output. [`Network::pull_back`] needs them; no graph is needed.
    pub fn forward_keeping_values(&self, input: &Tensor) -> Vec<Tensor> {
        let last = self.layers.len() - 1;
        let mut values = vec![input.shallow_clone()];
        for (i, layer) in self.layers.iter().enumerate() {
            let mut value = layer.apply(&values[i]);
            if i < last {
                activate_in_place(self.activation, &mut value);
            }
            values.push(value);
        }
        values
    }

    /// Computes the backward pass that belongs to the `values` of a forward pass, given the `gradient` with
    /// respect to the output. Writes the gradient with respect to all weights and biases to `into` (of length
    /// [`Network::n_weights`]), and returns the gradient with respect to the input if `in_input` is set.
    pub fn pull_back(
        &self,
        values: &[Tensor],
        gradient: Tensor,
        into: &Tensor,
        in_input: bool,
    ) -> Option<Tensor> {
        let places = views_shaped_like(into, &self.parameters());
        let mut gradient = gradient;
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let (in_weight, in_bias) = (&places[2 * i], &places[2 * i + 1]);
            layer.pull_back_to_weights(&values[i], &gradient, in_weight, in_bias);
            if i == 0 && !in_input {
                return None;
            }
            gradient = layer.pull_back(&gradient);
            if i > 0 {
                pull_back_in_place(self.activation, &gradient, &values[i]);
            }
        }
        Some(gradient)
    }

    /// The same network with tensors of another kind.
    #[must_use]
    pub fn to_kind(&self, kind: Kind) -> Self {
        let layers = self.layers.iter().map(|layer| layer.to_kind(kind));
        Self {
            layers: layers.collect(),
            activation: self.activation,
            backend: self.backend,
        }
    }

    /// The kind of the weights.
    pub fn kind(&self) -> Kind {
        self.layers[0].weight.kind()
    }

    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.layers[0].weight.device()
    }

    /// Adds the weights to `checkpoint`, as `prefix.0.weight`, `prefix.0.bias`, ….
    pub fn store(&self, checkpoint: &mut Checkpoint, prefix: &str) {
        for (i, layer) in self.layers.iter().enumerate() {
            checkpoint.insert(format!("{prefix}.{i}.weight"), &layer.weight);
            checkpoint.insert(format!("{prefix}.{i}.bias"), &layer.bias);
        }
    }

    /// The same network on `device`, with the weights that [`Network::store`] wrote.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Missing`] if a tensor is not there, or has another shape;
    /// [`CheckpointError::NotFinite`] if a weight is not finite.
    pub fn restored(
        mut self,
        checkpoint: &Checkpoint,
        prefix: &str,
        device: Device,
    ) -> Result<Self, CheckpointError> {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            for (name, tensor) in [("weight", &mut layer.weight), ("bias", &mut layer.bias)] {
                *tensor = read_stored_tensor(
                    checkpoint,
                    &format!("{prefix}.{i}.{name}"),
                    tensor,
                    device,
                )?;
            }
        }
        Ok(self)
    }
}

/// Reads the weights of that name, which must have the shape of `like`.
pub(crate) fn read_stored_tensor(
    checkpoint: &Checkpoint,
    name: &str,
    like: &Tensor,
    device: Device,
) -> Result<Tensor, CheckpointError> {
    let tensor = checkpoint.get_weights(name, device)?;
    if tensor.size() == like.size() {
        Ok(tensor)
    } else {
        let shape = like.size();
        Err(CheckpointError::Missing(format!("{name} {shape:?}")))
    }
}

/// Splits `memory` into consecutive views with the shapes of `parameters`.
pub(crate) fn views_shaped_like(memory: &Tensor, parameters: &[Tensor]) -> Vec<Tensor> {
    let mut start = 0;
    let views = parameters.iter().map(|parameter| {
        let n = parameter.numel() as i64;
        let view = memory.narrow(0, start, n).view_as(parameter);
        start += n;
        view
    });
    let views = views.collect();
    assert_eq!(
        start,
        memory.size()[0],
        "memory is as long as the parameters"
    );
    views
}
