//! Convolutional networks: from images to a few numbers (encoders) and back (decoders).
//!
//! A network has two strided convolutions and a dense layer, as in Radford, Metz and Chintala 2016,
//! "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks", §3
//! (strides instead of pooling), but without their batch normalisation, which would mix datapoints.

use crate::activation::Activation;
use crate::conv_geometry::{ConvGeometry, ImageShape};
use crate::layer::{Layer, LayerMap};
use crate::network::Network;
use gap_torch::{NoiseStream, SeedKey};
use tch::{Device, Kind, Tensor};

/// The sizes of a convolutional network for square grey images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Pixels along a side of the image.
    pub side: i64,
    /// Output channels of the first and the second convolution of an encoder, counted from the image. A decoder
    /// has them in reverse order.
    pub channels: [i64; 2],
    /// Pixels along a side of a window.
    pub kernel: i64,
    /// Pixels from one window to the next.
    pub stride: i64,
}

impl ConvShape {
    /// The usual shape for images of this size: windows of 4 pixels with a stride of 2, so that sides of 28
    /// pixels become 14 and then 7, and sides of 8 become 4 and then 2. Every pixel lies in the same number
    /// of windows, except at the border (Odena, Dumoulin and Olah 2016, "Deconvolution and Checkerboard
    /// Artifacts").
    pub const fn with_stride_two(side: i64, channels: [i64; 2]) -> Self {
        Self {
            side,
            channels,
            kernel: 4,
            stride: 2,
        }
    }

    /// The two convolutions; the first is the one that reads the image.
    ///
    /// # Panics
    ///
    /// If the stride is not positive or is larger than a window, or if an image has no channels or no pixels.
    fn convolution_geometries(&self) -> [ConvGeometry; 2] {
        let covers = self.stride > 0 && self.kernel >= self.stride;
        assert!(covers, "windows leave no pixel out");
        let image = ImageShape {
            channels: 1,
            side: self.side,
        };
        let first =
            ConvGeometry::from_large_image(image, self.channels[0], self.kernel, self.stride);
        let second =
            ConvGeometry::from_large_image(first.small, self.channels[1], self.kernel, self.stride);
        let is_there = |image: ImageShape| image.channels > 0 && image.side > 0;
        let fits = is_there(image) && is_there(first.small) && is_there(second.small);
        assert!(fits, "an image has pixels after each convolution");
        [first, second]
    }

    /// Makes an encoder's network with `side²` inputs and `n_outputs` outputs: two convolutions and a dense
    /// layer.
    ///
    /// Biases are zero. Weights are normal, drawn with `key`, with a variance of one over the number of
    /// inputs that are summed for an output (LeCun et al. 1998, "Efficient BackProp", §4.6).
    ///
    /// # Panics
    ///
    /// If the stride is not positive or is larger than a window, or if an image has no channels or no pixels.
    pub fn random_encoder(
        &self,
        n_outputs: i64,
        activation: Activation,
        key: SeedKey,
        device: Device,
    ) -> Network {
        let [first, second] = self.convolution_geometries();
        let layers = vec![
            random_convolution_layer(LayerMap::Convolution(first), key.for_index(0), device),
            random_convolution_layer(LayerMap::Convolution(second), key.for_index(1), device),
            Layer::random_affine(
                second.small.row_width(),
                n_outputs,
                key.for_index(2),
                device,
            ),
        ];
        Network::from_layers(layers, activation)
    }

    /// Makes a decoder's network with `n_inputs` inputs and `side²` outputs: a dense layer and two transposed
    /// convolutions. Weights are drawn as in [`ConvShape::random_encoder`].
    ///
    /// # Panics
    ///
    /// If the stride is not positive or is larger than a window, or if an image has no channels or no pixels.
    pub fn random_decoder(
        &self,
        n_inputs: i64,
        activation: Activation,
        key: SeedKey,
        device: Device,
    ) -> Network {
        let [first, second] = self.convolution_geometries();
        let layers = vec![
            Layer::random_affine(n_inputs, second.small.row_width(), key.for_index(0), device),
            random_convolution_layer(
                LayerMap::TransposedConvolution(second),
                key.for_index(1),
                device,
            ),
            random_convolution_layer(
                LayerMap::TransposedConvolution(first),
                key.for_index(2),
                device,
            ),
        ];
        Network::from_layers(layers, activation)
    }
}

/// Makes a convolution or a transposed convolution with random weights.
fn random_convolution_layer(map: LayerMap, key: SeedKey, device: Device) -> Layer {
    let (geometry, n_biases, summands) = match map {
        LayerMap::Convolution(geometry) => {
            let window = geometry.kernel.pow(2) as f64;
            let summands = geometry.large.channels as f64 * window;
            (geometry, geometry.small.channels, summands)
        }
        // On average, a pixel lies in (kernel / stride)² windows.
        LayerMap::TransposedConvolution(geometry) => {
            let windows = (geometry.kernel as f64 / geometry.stride as f64).powi(2);
            let summands = geometry.small.channels as f64 * windows;
            (geometry, geometry.large.channels, summands)
        }
        LayerMap::Affine => unreachable!("it is made for convolutions"),
    };
    let shape = geometry.weight_shape();
    let mut noise = NoiseStream::new(key, &[0], device);
    Layer {
        map,
        weight: noise.normal(1, shape.iter().product()).view(shape) / summands.sqrt(),
        bias: Tensor::zeros([n_biases], (Kind::Float, device)),
    }
}
