//! Networks on the kernels of [`gap_kernel`]: on the processor and in `f32`, in place of libtorch.

use crate::activation::Activation;
use crate::conditioned::{ConditionedModel, JointAndScore, check_rows};
use crate::decoder::log_prior;
use crate::likelihood::Likelihood;
use crate::model::ModelError;
use crate::network::Network;
use gap_kernel::{
    ConditionedDecoder, FusedDecoder, FusedForward, FusedTraining, Instructions, Layer, Precision,
    Wanted,
};
use gap_torch::map_row_blocks;
use tch::{Device, Kind, Tensor};

/// The path of this process, if it has one for such tensors: not on another device, in another kind,
/// on another processor, or against the user's wish. A wish that cannot be met is refused where the
/// program starts.
fn path_for(device: Device, kind: Kind) -> Option<Instructions> {
    let is_fit = device == Device::Cpu && kind == Kind::Float;
    is_fit.then(|| Instructions::here().ok().flatten())?
}

fn path_for_network(network: &Network) -> Option<Instructions> {
    let path = || path_for(network.device(), network.kind());
    network.is_perceptron().then(path)?
}

/// What `f` makes of the layers of `network`.
fn with_layers<T>(network: &Network, f: impl FnOnce(&[Layer<'_>]) -> T) -> T {
    let copies: Vec<[Vec<f32>; 2]> = network
        .layers()
        .iter()
        .map(|layer| [&layer.weight, &layer.bias].map(floats))
        .collect();
    let layers: Vec<Layer<'_>> = copies
        .iter()
        .map(|[weight, bias]| Layer { weight, bias })
        .collect();
    f(&layers)
}

const fn activation(network: &Network) -> gap_kernel::Activation {
    match network.activation() {
        Activation::Tanh => gap_kernel::Activation::Tanh,
        Activation::Relu => gap_kernel::Activation::Relu,
        Activation::Elu => gap_kernel::Activation::Elu,
    }
}

/// A likelihood in the kernels' words.
///
/// # Panics
///
/// If they do not know it: [`Likelihood::on_kernels`] says so.
pub fn on_kernels(likelihood: Likelihood) -> gap_kernel::Likelihood {
    let known = likelihood.on_kernels();
    known.expect("only likelihoods that the kernels know are computed there")
}

/// `network` and `likelihood` packed for the kernels; `None` where libtorch has to do it.
///
/// A Gaussian's score divides a small difference by a small variance, and so would make of the error of
/// 16-bit factors a large one: it is always in full precision.
pub(crate) fn fuse(network: &Network, likelihood: &Likelihood) -> Option<FusedDecoder> {
    let instructions = path_for_network(network)?;
    let likelihood = likelihood.on_kernels()?;
    with_layers(network, |layers| {
        let network = gap_kernel::Network {
            layers,
            activation: activation(network),
            likelihood,
        };
        let fused = FusedDecoder::new(&network, instructions)?;
        Some(match likelihood {
            gap_kernel::Likelihood::Bernoulli => fused,
            gap_kernel::Likelihood::Gaussian { .. } => fused.in_full(),
        })
    })
}

/// `x = W z + b + std ε` (`[X, D]`, `[X]`), likewise, packed for the kernels; `None` where libtorch has to do it.
pub(crate) fn fuse_affine(weight: &Tensor, bias: &Tensor, std: f64) -> Option<FusedDecoder> {
    let instructions = path_for(weight.device(), weight.kind())?;
    let (weight, bias) = (floats(weight), floats(bias));
    let network = gap_kernel::Network {
        layers: &[Layer {
            weight: &weight,
            bias: &bias,
        }],
        activation: gap_kernel::Activation::Tanh, // Between layers: there is one.
        likelihood: gap_kernel::Likelihood::Gaussian { std },
    };
    FusedDecoder::new(&network, instructions).map(FusedDecoder::in_full)
}

/// A frozen perceptron whose rows have the same output in any batch.
pub struct FrozenForward(Option<FusedForward>);

impl FrozenForward {
    /// Of the weights as they are now.
    pub fn of(network: &Network) -> Self {
        Self(path_for_network(network).and_then(|instructions| {
            with_layers(network, |layers| {
                FusedForward::new(layers, activation(network), instructions)
            })
        }))
    }

    /// The output of `network`, whose weights have not changed since: `[N, in] -> [N, out]`, no graph.
    pub fn forward(&self, network: &Network, input: &Tensor) -> Tensor {
        let _no_grad = tch::no_grad_guard();
        match &self.0 {
            Some(fused) => {
                let output = fused.forward(&floats(input));
                Tensor::from_slice(&output).view([-1, network.output_dim()])
            }
            None => map_row_blocks(&[input], |block| network.forward(&block[0])),
        }
    }
}

/// A copy of a perceptron that learns on the kernels.
pub struct FusedLearner {
    training: FusedTraining,
    n_inputs: i64,
    n_outputs: i64,
    is_small: bool,
}

/// A step of 10-32-4, with 484 weights, takes 4.4 µs in full precision and 4.7 in half; one of 10-128-4,
/// with 1,924, takes 14.7 and 12.2.
const WEIGHTS_FOR_HALF: u64 = 1000;

impl FusedLearner {
    /// From the weights of `network` as they are now, from at most `most_rows` rows a step; `None`
    /// where libtorch has to do it.
    pub fn of(network: &Network, most_rows: usize) -> Option<Self> {
        let instructions = path_for_network(network)?;
        let training = with_layers(network, |layers| {
            FusedTraining::new(layers, activation(network), most_rows, instructions)
        })?;
        Some(Self {
            training,
            n_inputs: network.input_dim(),
            n_outputs: network.output_dim(),
            is_small: network.n_weights() < WEIGHTS_FOR_HALF,
        })
    }

    /// The output, no graph: `[N, in] -> [N, out]`.
    pub fn forward(&mut self, input: &Tensor) -> Tensor {
        let output = self.training.forward(&floats(input));
        Tensor::from_slice(&output).view([-1, self.n_outputs])
    }

    /// One step of Adam up an objective whose gradient in the latest output is `gradient`, `[N, out]`;
    /// gives that in the input, `[N, in]`, if it is asked for.
    pub fn ascend(
        &mut self,
        gradient: &Tensor,
        learning_rate: f64,
        in_input: bool,
    ) -> Option<Tensor> {
        let gradient = floats(gradient);
        let n_rows = gradient.len() / self.n_outputs as usize;
        let mut in_input = in_input.then(|| vec![0.0; n_rows * self.n_inputs as usize]);
        self.training
            .ascend(&gradient, learning_rate, in_input.as_deref_mut());
        Some(Tensor::from_slice(&in_input?).view([-1, self.n_inputs]))
    }

    /// How exact the products of the next steps are; in full for so few weights that it would take
    /// longer to round them.
    pub fn set_precision(&mut self, precision: Precision) {
        self.training.set_precision(if self.is_small {
            Precision::Full
        } else {
            precision
        });
    }

    /// The same network for those whose rows are plain memory.
    pub const fn in_memory(&mut self) -> &mut FusedTraining {
        &mut self.training
    }

    /// Whether all weights and biases are finite.
    pub fn is_finite(&self) -> bool {
        self.training.is_finite()
    }

    /// Writes the weights as they are now to the network that it was made from.
    pub fn write_to(&self, network: &mut Network) {
        let _no_grad = tch::no_grad_guard();
        for (layer, (weight, bias)) in network.layers().iter().zip(self.training.layers()) {
            for (tensor, values) in [(&layer.weight, weight), (&layer.bias, bias)] {
                let values = Tensor::from_slice(&values).view_as(tensor);
                tensor.shallow_clone().copy_(&values);
            }
        }
    }
}

/// A fused decoder at some observations.
pub(crate) struct FusedConditioned {
    decoder: ConditionedDecoder,
    n_observations: i64,
    latent_dim: i64,
}

impl FusedConditioned {
    /// `decoder` at the rows of `x`, `[B, X]`, whose sizes were checked.
    pub(crate) fn new(decoder: &FusedDecoder, latent_dim: i64, x: &Tensor) -> Self {
        Self {
            decoder: decoder.condition(&floats(x)),
            n_observations: x.size()[0],
            latent_dim,
        }
    }

    /// The score: `[N], [N, D] -> [N, D]`. Sizes and observations were checked.
    pub(crate) fn score_rows(&self, observations: &[usize], z: &Tensor) -> Tensor {
        let z = floats(z);
        let mut score = vec![0.0; z.len()];
        let wanted = Wanted {
            score: Some(&mut score),
            ..Wanted::default()
        };
        self.decoder.evaluate(observations, &z, wanted);
        Tensor::from_slice(&score).view([-1, self.latent_dim])
    }

    /// `log p(x | z)`, `f64`: `[N], [N, D] -> [N]`. Sizes and observations were checked.
    pub(crate) fn log_likelihood_rows(&self, observations: &[usize], z: &Tensor) -> Tensor {
        let mut values = vec![0.0; observations.len()];
        let wanted = Wanted {
            log_likelihood: Some(&mut values),
            ..Wanted::default()
        };
        self.decoder.evaluate(observations, &floats(z), wanted);
        Tensor::from_slice(&values)
    }

    fn checked(&self, observations: &[i64], z: &Tensor) -> Result<Vec<usize>, ModelError> {
        check_rows(self.n_observations, self.latent_dim, observations, z)?;
        Ok(observations.iter().map(|&row| row as usize).collect())
    }
}

impl ConditionedModel for FusedConditioned {
    fn on_kernels(&self) -> Option<&ConditionedDecoder> {
        Some(&self.decoder)
    }

    fn score(&mut self, observations: &[i64], z: &Tensor) -> Result<Tensor, ModelError> {
        Ok(self.score_rows(&self.checked(observations, z)?, z))
    }

    fn log_joint(&mut self, observations: &[i64], z: &Tensor) -> Result<Tensor, ModelError> {
        let observations = self.checked(observations, z)?;
        Ok(self.log_likelihood_rows(&observations, z) + log_prior(&z.detach()))
    }

    fn log_joint_and_score(
        &mut self,
        observations: &[i64],
        z: &Tensor,
    ) -> Result<JointAndScore, ModelError> {
        let observations = self.checked(observations, z)?;
        let rows = floats(z);
        let (mut score, mut values) = (vec![0.0; rows.len()], vec![0.0; observations.len()]);
        let wanted = Wanted {
            score: Some(&mut score),
            log_likelihood: Some(&mut values),
            ..Wanted::default()
        };
        self.decoder.evaluate(&observations, &rows, wanted);
        Ok(JointAndScore {
            log_joint: Tensor::from_slice(&values) + log_prior(&z.detach()),
            score: Tensor::from_slice(&score).view([-1, self.latent_dim]),
        })
    }
}

/// The numbers of a tensor of floats, row after row.
fn floats(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.detach().contiguous().view([-1]);
    Vec::<f32>::try_from(flat).expect("the kernels are for floats")
}
