//! Weights of networks, packed for the kernels.

use crate::backend::Backend;
use crate::likelihood::Likelihood;
use crate::network::Network;
use gap_kernel::{Activation, FusedDecoder, Instructions, Layer};
use tch::{Device, Kind, Tensor};

/// The instructions for such tensors: none on another device, in another kind, or if libtorch is to
/// compute.
fn instructions_for_tensors(backend: Backend, device: Device, kind: Kind) -> Option<Instructions> {
    let is_fit = device == Device::Cpu && kind == Kind::Float;
    is_fit.then(|| backend.instructions())?
}

/// The instructions for `network`: none if a layer is not affine.
pub(super) fn instructions_for_network(network: &Network) -> Option<Instructions> {
    let instructions =
        || instructions_for_tensors(network.backend(), network.device(), network.kind());
    network.is_perceptron().then(instructions)?
}

/// What `f` makes of the layers of `network`.
pub(super) fn with_kernel_layers<T>(network: &Network, f: impl FnOnce(&[Layer<'_>]) -> T) -> T {
    let copies: Vec<[Vec<f32>; 2]> = network
        .layers()
        .iter()
        .map(|layer| [&layer.weight, &layer.bias].map(to_f32_vec))
        .collect();
    let layers: Vec<Layer<'_>> = copies
        .iter()
        .map(|[weight, bias]| Layer { weight, bias })
        .collect();
    f(&layers)
}

/// `network` and `likelihood` packed for the kernels; `None` where libtorch has to do it.
///
/// A Gaussian's score divides a small difference by a small variance, and so would make of the error of
/// 16-bit factors a large one: it is always in full precision.
pub(crate) fn pack_decoder(network: &Network, likelihood: &Likelihood) -> Option<FusedDecoder> {
    let instructions = instructions_for_network(network)?;
    let likelihood = likelihood.kernel_likelihood()?;
    with_kernel_layers(network, |layers| {
        let network = gap_kernel::Network {
            layers,
            activation: network.activation(),
            likelihood,
        };
        let fused = FusedDecoder::new(&network, instructions)?;
        Some(match likelihood {
            gap_kernel::KernelLikelihood::Bernoulli => fused,
            gap_kernel::KernelLikelihood::Gaussian { .. } => fused.without_half_precision(),
        })
    })
}

/// `x = W z + b + std ε` (`[X, D]`, `[X]`), likewise, packed for the kernels; `None` where libtorch has to do
/// it.
pub(crate) fn pack_linear_gaussian(
    backend: Backend,
    weight: &Tensor,
    bias: &Tensor,
    std: f64,
) -> Option<FusedDecoder> {
    let instructions = instructions_for_tensors(backend, weight.device(), weight.kind())?;
    let (weight, bias) = (to_f32_vec(weight), to_f32_vec(bias));
    let network = gap_kernel::Network {
        layers: &[Layer {
            weight: &weight,
            bias: &bias,
        }],
        activation: Activation::Tanh, // Between layers: there is one.
        likelihood: gap_kernel::KernelLikelihood::Gaussian { std },
    };
    FusedDecoder::new(&network, instructions).map(FusedDecoder::without_half_precision)
}

/// The numbers of a tensor of floats, row after row.
pub(super) fn to_f32_vec(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.detach().contiguous().view([-1]);
    Vec::<f32>::try_from(flat).expect("the kernels are for floats")
}
