//! Networks on the kernels of [`gap_kernel`]: on the processor and in `f32`, in place of libtorch.

use crate::conditioned::{ConditionedModel, JointAndScore, check_rows};
use crate::decoder::log_prior;
use crate::likelihood::Likelihood;
use crate::mlp::{Activation, Mlp};
use crate::model::ModelError;
use gap_kernel::{
    ConditionedDecoder, FusedDecoder, FusedForward, Instructions, Layer, Precision, Wanted,
};
use gap_torch::map_row_blocks;
use tch::{Device, Kind, Tensor};

/// The path of this process, if it has one for `network`: not on another device, in another kind, on
/// another processor, or against the user's wish. A wish that cannot be met is refused where the
/// program starts.
fn path_for(network: &Mlp) -> Option<Instructions> {
    let is_fit = network.device() == Device::Cpu && network.kind() == Kind::Float;
    is_fit.then(|| Instructions::here().ok().flatten())?
}

/// What `f` makes of the layers of `network`.
fn with_layers<T>(network: &Mlp, f: impl FnOnce(&[Layer<'_>]) -> T) -> T {
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

const fn activation(network: &Mlp) -> gap_kernel::Activation {
    match network.activation() {
        Activation::Tanh => gap_kernel::Activation::Tanh,
        Activation::Relu => gap_kernel::Activation::Relu,
        Activation::Elu => gap_kernel::Activation::Elu,
    }
}

/// `network` and `likelihood` packed for the kernels; `None` where libtorch has to do it.
pub(crate) fn fuse(network: &Mlp, likelihood: Likelihood) -> Option<FusedDecoder> {
    let instructions = path_for(network)?;
    let likelihood = match likelihood {
        Likelihood::Bernoulli => gap_kernel::Likelihood::Bernoulli,
        Likelihood::Gaussian { std } => gap_kernel::Likelihood::Gaussian { std },
    };
    with_layers(network, |layers| {
        let network = gap_kernel::Network {
            layers,
            activation: activation(network),
            likelihood,
        };
        FusedDecoder::new(&network, instructions, Precision::Full)
    })
}

/// A frozen perceptron whose rows have the same output in any batch.
pub struct FrozenForward(Option<FusedForward>);

impl FrozenForward {
    /// Of the weights as they are now.
    pub fn of(network: &Mlp) -> Self {
        Self(path_for(network).and_then(|instructions| {
            with_layers(network, |layers| {
                FusedForward::new(layers, activation(network), instructions)
            })
        }))
    }

    /// The output of `network`, whose weights have not changed since: `[N, in] -> [N, out]`, no graph.
    pub fn forward(&self, network: &Mlp, input: &Tensor) -> Tensor {
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
    fn score(&mut self, observations: &[i64], z: &Tensor) -> Result<Tensor, ModelError> {
        Ok(self.score_rows(&self.checked(observations, z)?, z))
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
