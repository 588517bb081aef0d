//! A decoder on the kernels of [`gap_kernel`]: on the processor and in `f32`, in place of libtorch.

use crate::conditioned::{ConditionedModel, JointAndScore, check_rows};
use crate::decoder::log_prior;
use crate::likelihood::Likelihood;
use crate::mlp::{Activation, Mlp};
use crate::model::ModelError;
use gap_kernel::{ConditionedDecoder, FusedDecoder, Instructions, Precision, Wanted};
use tch::{Device, Kind, Tensor};

/// `network` and `likelihood` packed for the kernels; `None` where libtorch has to do it: on another
/// device, in another kind, on another processor, or by the user's wish.
pub(crate) fn fuse(network: &Mlp, likelihood: Likelihood) -> Option<FusedDecoder> {
    if network.device() != Device::Cpu || network.kind() != Kind::Float {
        return None;
    }
    // A wish that cannot be met is refused where the program starts.
    let instructions = Instructions::here().ok().flatten()?;
    let copies: Vec<[Vec<f32>; 2]> = network
        .layers()
        .iter()
        .map(|layer| [&layer.weight, &layer.bias].map(floats))
        .collect();
    let layers: Vec<gap_kernel::Layer<'_>> = copies
        .iter()
        .map(|[weight, bias]| gap_kernel::Layer { weight, bias })
        .collect();
    let network = gap_kernel::Network {
        layers: &layers,
        activation: match network.activation() {
            Activation::Tanh => gap_kernel::Activation::Tanh,
            Activation::Relu => gap_kernel::Activation::Relu,
            Activation::Elu => gap_kernel::Activation::Elu,
        },
        likelihood: match likelihood {
            Likelihood::Bernoulli => gap_kernel::Likelihood::Bernoulli,
            Likelihood::Gaussian { std } => gap_kernel::Likelihood::Gaussian { std },
        },
    };
    FusedDecoder::new(&network, instructions, Precision::Full)
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
