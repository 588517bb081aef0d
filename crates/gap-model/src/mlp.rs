//! A multi-layer perceptron whose weights are plain tensors: decoders and encoders are made of it.

use gap_torch::checkpoint::{Checkpoint, CheckpointError};
use gap_torch::{NoiseStream, SeedKey, aligned_rows};
use tch::{Device, Kind, Tensor};

/// The nonlinearity between layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Hyperbolic tangent.
    Tanh,
    /// Rectifier.
    Relu,
    /// Exponential linear unit with `α = 1`.
    Elu,
}

impl Activation {
    /// The activation's value.
    pub fn apply(self, pre: &Tensor) -> Tensor {
        match self {
            Self::Tanh => pre.tanh(),
            Self::Relu => pre.relu(),
            Self::Elu => pre.elu(),
        }
    }

    /// The activation's value, written over `pre`.
    pub(crate) fn apply_in_place(self, pre: &mut Tensor) {
        let _ = match self {
            Self::Tanh => pre.tanh_(),
            Self::Relu => pre.relu_(),
            Self::Elu => pre.elu_(),
        };
    }

    /// `gradient ∘ a'`, written over `gradient`, with the derivative `a'` computed from the
    /// activation's value `a`.
    pub(crate) fn pull_back_in_place(self, gradient: &Tensor, value: &Tensor) {
        let _ = match self {
            // 1 - a².
            Self::Tanh => Tensor::tanh_backward_grad_input(gradient, gradient, value),
            // Where a > 0.
            Self::Relu => value.threshold_backward_grad_input(gradient, gradient, 0.0),
            // Below zero a = e^u - 1, so a' = a + 1.
            Self::Elu => {
                Tensor::elu_backward_grad_input(gradient, gradient, 1.0, 1.0, 1.0, true, value)
            }
        };
    }
}

pub(crate) struct Layer {
    pub(crate) weight: Tensor, // [out, in]
    pub(crate) bias: Tensor,   // [out]
}

/// Affine layers with an activation between them, and none after the last.
pub struct Mlp {
    layers: Vec<Layer>,
    activation: Activation,
}

impl Mlp {
    /// Layers of the given widths (input, hidden, …, output), with zero biases and normal weights
    /// of variance `1 / inputs` (LeCun et al. 1998, "Efficient BackProp", §4.6), drawn with `key`.
    ///
    /// # Panics
    ///
    /// If fewer than two widths are given.
    pub fn random(widths: &[i64], activation: Activation, key: SeedKey, device: Device) -> Self {
        assert!(widths.len() >= 2, "a network has an input and an output");
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(i, pair)| {
                let (inputs, outputs) = (pair[0], pair[1]);
                let mut noise = NoiseStream::new(key.index(i as u64), &[0], device);
                let weight = noise.normal(outputs, inputs).squeeze_dim(1) / (inputs as f64).sqrt();
                let bias = Tensor::zeros([outputs], (Kind::Float, device));
                Layer { weight, bias }
            })
            .collect();
        Self { layers, activation }
    }

    /// The same network with its last layer at zero, so that it says 0 wherever it is asked.
    #[must_use]
    pub fn with_zero_output(mut self) -> Self {
        if let Some(last) = self.layers.last_mut() {
            last.weight = last.weight.zeros_like();
            last.bias = last.bias.zeros_like();
        }
        self
    }

    /// The network's output, differentiable: `[N, in] -> [N, out]`.
    pub fn forward(&self, input: &Tensor) -> Tensor {
        let (last, before) = self.layers.split_last().expect("a network has a layer");
        let mut value = input.shallow_clone();
        for layer in before {
            value = self.activation.apply(&layer.apply(&value));
        }
        last.apply(&value)
    }

    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    pub(crate) const fn activation(&self) -> Activation {
        self.activation
    }

    /// Width of the input.
    pub fn input_dim(&self) -> i64 {
        self.layers[0].weight.size()[1]
    }

    /// Width of the output.
    pub fn output_dim(&self) -> i64 {
        self.layers[self.layers.len() - 1].weight.size()[0]
    }

    /// How many weights and biases there are.
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

    /// Puts the weights and biases into `memory`, one after the other: `[P]`, of the network's kind.
    ///
    /// # Panics
    ///
    /// If it does not hold [`Mlp::n_weights`] numbers.
    pub fn move_to(&mut self, memory: &Tensor) {
        let parameters = self.parameters();
        let places = views(memory, &parameters);
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

    /// The values of a forward pass, for [`Mlp::pull_back`]; the last is the output. No graph.
    pub fn forward_kept(&self, input: &Tensor) -> Vec<Tensor> {
        let last = self.layers.len() - 1;
        let mut values = vec![input.shallow_clone()];
        for (i, layer) in self.layers.iter().enumerate() {
            let mut value = layer.bias.addmm(&values[i], &layer.weight.tr());
            if i < last {
                self.activation.apply_in_place(&mut value);
            }
            values.push(value);
        }
        values
    }

    /// Pulls `gradient`, in the output, back through the pass with these `values`: writes that in each
    /// weight and bias to `into` (as long as [`Mlp::n_weights`]), and gives that in the input if it is
    /// wanted.
    pub fn pull_back(
        &self,
        values: &[Tensor],
        gradient: Tensor,
        into: &Tensor,
        in_input: bool,
    ) -> Option<Tensor> {
        let places = views(into, &self.parameters());
        let mut gradient = gradient;
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let _ = gradient.tr().mm_out(&places[2 * i], &values[i]);
            let rows = [0_i64];
            let _ = gradient.sum_intlist_out(
                &places[2 * i + 1],
                rows.as_slice(),
                false,
                gradient.kind(),
            );
            if i == 0 && !in_input {
                return None;
            }
            gradient = gradient.mm(&layer.weight);
            if i > 0 {
                self.activation.pull_back_in_place(&gradient, &values[i]);
            }
        }
        Some(gradient)
    }

    /// The same network with tensors of another kind.
    pub fn to_kind(&self, kind: Kind) -> Self {
        let layers = self
            .layers
            .iter()
            .map(|layer| Layer {
                weight: layer.weight.detach().to_kind(kind),
                bias: layer.bias.detach().to_kind(kind),
            })
            .collect();
        Self {
            layers,
            activation: self.activation,
        }
    }

    /// The kind of the weights.
    pub fn kind(&self) -> Kind {
        self.layers[0].weight.kind()
    }

    /// Where the weights are.
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

    /// Reads what [`Mlp::store`] wrote: `n_layers` layers.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Missing`] if a layer is not there.
    pub fn restore(
        checkpoint: &Checkpoint,
        prefix: &str,
        n_layers: usize,
        activation: Activation,
        device: Device,
    ) -> Result<Self, CheckpointError> {
        let layers = (0..n_layers)
            .map(|i| {
                Ok(Layer {
                    weight: checkpoint.get(&format!("{prefix}.{i}.weight"), device)?,
                    bias: checkpoint.get(&format!("{prefix}.{i}.bias"), device)?,
                })
            })
            .collect::<Result<_, CheckpointError>>()?;
        Ok(Self { layers, activation })
    }
}

impl Layer {
    fn apply(&self, input: &Tensor) -> Tensor {
        affine(input, &self.weight, &self.bias)
    }
}

/// Parts of `memory`, one after the other, shaped like `parameters`.
fn views(memory: &Tensor, parameters: &[Tensor]) -> Vec<Tensor> {
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

/// `input · weightᵀ + bias`, differentiable: `[N, in], [out, in], [out] -> [N, out]`.
pub(crate) fn affine(input: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
    bias.addmm(&aligned_rows(input), &weight.tr())
}
