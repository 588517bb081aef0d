//! Packs the weights of networks for the kernels.

use crate::backend::Backend;
use crate::likelihood::Likelihood;
use crate::network::Network;
use gap_kernel::{Activation, FusedDecoder, Instructions, Layer};
use tch::{Device, Kind, Tensor};

/// The vector instructions for tensors of this kind on this device; `None` unless they are `f32` on the CPU and
/// `backend` is the kernels.
fn instructions_for_tensors(backend: Backend, device: Device, kind: Kind) -> Option<Instructions> {
    let is_fit = device == Device::Cpu && kind == Kind::Float;
    is_fit.then(|| backend.instructions())?
}

/// The vector instructions for `network`; `None` also if a layer is not affine.
pub(super) fn instructions_for_network(network: &Network) -> Option<Instructions> {
    let instructions =
        || instructions_for_tensors(network.backend(), network.device(), network.kind());
    network.is_perceptron().then(instructions)?
}

/// Calls `f` with the layers of `network` in the kernels' form, and returns its result.
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

/// Packs `network` and `likelihood` for the kernels; `None` if libtorch must compute.
///
/// A Gaussian is always packed in full precision: its score divides a small difference by a small variance,
/// which would magnify the rounding errors of 16-bit operands.
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

/// Packs `x = W z + b + std ε` (`[X, D]`, `[X]`) for the kernels, also in full precision; `None` if libtorch
/// must compute.
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
        activation: Activation::Tanh, // Not used: there is only one layer.
        likelihood: gap_kernel::KernelLikelihood::Gaussian { std },
    };
    FusedDecoder::new(&network, instructions).map(FusedDecoder::without_half_precision)
}

/// The values of an `f32` tensor, row after row.
pub(super) fn to_f32_vec(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.detach().contiguous().view([-1]);
    Vec::<f32>::try_from(flat).expect("the kernels are for floats")
}
