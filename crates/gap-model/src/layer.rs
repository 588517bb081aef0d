//! One layer of a network: an affine map, a strided convolution of images, or the transpose of one.
//!
//! A layer maps rows to rows; a row holds an image channel by channel. Apart from the bias, every map is linear
//! in its input and in its weight, so its adjoint gives the gradients without automatic differentiation.

use crate::conv_geometry::ConvGeometry;
use gap_torch::{NoiseStream, SeedKey, align_rows};
use tch::{Device, Kind, Tensor};

/// A linear map with a bias.
pub(crate) struct Layer {
    pub(crate) map: LayerMap,
    pub(crate) weight: Tensor,
    pub(crate) bias: Tensor,
}

/// The kind of map that a layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LayerMap {
    /// An affine map with `weight [out, in]` and `bias [out]`.
    Affine,
    /// A map from large images to small ones; `bias` has one number for each channel of the small images.
    Convolution(ConvGeometry),
    /// A map from small images to large ones; `bias` has one number for each channel of the large images.
    TransposedConvolution(ConvGeometry),
}

impl Layer {
    /// An affine layer with a zero bias and normal weights of variance `1 / inputs` (LeCun et al. 1998,
    /// "Efficient BackProp", §4.6), drawn with `key`.
    pub(crate) fn random_affine(inputs: i64, outputs: i64, key: SeedKey, device: Device) -> Self {
        let mut noise = NoiseStream::new(key, &[0], device);
        Self {
            map: LayerMap::Affine,
            weight: noise.normal(outputs, inputs).squeeze_dim(1) / (inputs as f64).sqrt(),
            bias: Tensor::zeros([outputs], (Kind::Float, device)),
        }
    }

    /// The same layer, sharing its weights.
    pub(crate) fn shallow_clone(&self) -> Self {
        Self {
            map: self.map,
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
        }
    }

    /// A copy with tensors of another kind.
    pub(crate) fn to_kind(&self, kind: Kind) -> Self {
        Self {
            map: self.map,
            weight: self.weight.detach().to_kind(kind),
            bias: self.bias.detach().to_kind(kind),
        }
    }

    /// Width of the input.
    pub(crate) fn n_inputs(&self) -> i64 {
        match self.map {
            LayerMap::Affine => self.weight.size()[1],
            LayerMap::Convolution(geometry) => geometry.large.row_width(),
            LayerMap::TransposedConvolution(geometry) => geometry.small.row_width(),
        }
    }

    /// Width of the output.
    pub(crate) fn n_outputs(&self) -> i64 {
        match self.map {
            LayerMap::Affine => self.weight.size()[0],
            LayerMap::Convolution(geometry) => geometry.small.row_width(),
            LayerMap::TransposedConvolution(geometry) => geometry.large.row_width(),
        }
    }

    /// The layer's output, differentiable: `[N, in] -> [N, out]`.
    pub(crate) fn apply(&self, input: &Tensor) -> Tensor {
        match self.map {
            LayerMap::Affine => self.bias.addmm(input, &self.weight.tr()),
            LayerMap::Convolution(geometry) => {
                geometry.convolve(input, &self.weight, Some(&self.bias))
            }
            LayerMap::TransposedConvolution(geometry) => {
                geometry.convolve_transposed(input, &self.weight, Some(&self.bias))
            }
        }
    }

    /// The gradient with respect to the input, given the gradient with respect to the output:
    /// `[N, out] -> [N, in]`.
    pub(crate) fn pull_back(&self, gradient: &Tensor) -> Tensor {
        match self.map {
            LayerMap::Affine => gradient.mm(&self.weight),
            LayerMap::Convolution(geometry) => {
                geometry.convolve_transposed(gradient, &self.weight, None)
            }
            LayerMap::TransposedConvolution(geometry) => {
                geometry.convolve(gradient, &self.weight, None)
            }
        }
    }

    /// Writes the gradients with respect to the weight and the bias, summed over the rows, given the layer's
    /// input and the gradient with respect to its output.
    pub(crate) fn pull_back_to_weights(
        &self,
        input: &Tensor,
        gradient: &Tensor,
        in_weight: &Tensor,
        in_bias: &Tensor,
    ) {
        let per_channel = match self.map {
            LayerMap::Affine => {
                let _ = gradient.tr().mm_out(in_weight, input);
                gradient.shallow_clone()
            }
            LayerMap::Convolution(geometry) => {
                in_weight
                    .shallow_clone()
                    .copy_(&geometry.weight_gradient(input, gradient));
                geometry.small.sum_per_channel(gradient)
            }
            LayerMap::TransposedConvolution(geometry) => {
                in_weight
                    .shallow_clone()
                    .copy_(&geometry.weight_gradient(gradient, input));
                geometry.large.sum_per_channel(gradient)
            }
        };
        let rows = [0_i64];
        let _ = per_channel.sum_intlist_out(in_bias, rows.as_slice(), false, per_channel.kind());
    }
}

/// `input · weightᵀ + bias`, differentiable: `[N, in], [out, in], [out] -> [N, out]`.
pub(crate) fn apply_affine(input: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
    bias.addmm(&align_rows(input), &weight.tr())
}
