//! Convolutional networks: from images to a few numbers (encoders) and back (decoders).
//!
//! Two strided convolutions and a dense layer, as in Radford, Metz and Chintala 2016, "Unsupervised
//! Representation Learning with Deep Convolutional Generative Adversarial Networks", §3 (strides in
//! place of pooling), without their normalisation: it would mix datapoints.

use crate::activation::Activation;
use crate::layer::{Layer, Map};
use crate::network::Network;
use gap_torch::{NoiseStream, SeedKey};
use tch::{Device, Kind, Tensor};

/// A square image, channel by channel in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    channels: i64,
    side: i64,
}

impl Image {
    /// Numbers in a row.
    pub(crate) const fn width(self) -> i64 {
        self.channels * self.side * self.side
    }

    /// `[N, W] -> [N, C, side, side]`
    fn of_rows(self, rows: &Tensor) -> Tensor {
        rows.reshape([-1, self.channels, self.side, self.side])
    }

    /// `[N, W] -> [N, C]`
    pub(crate) fn sum_of_channels(self, rows: &Tensor) -> Tensor {
        let pixels = rows.reshape([-1, self.channels, self.side * self.side]);
        pixels.sum_dim_intlist([2_i64].as_slice(), false, rows.kind())
    }
}

/// A strided convolution from a large image to a small one, and its transpose.
///
/// Both have a weight of `[C_small, C_large, kernel, kernel]`, and each is the other's adjoint: with
/// the form `f(large, small, w) = ⟨small, shrink(large; w)⟩`, `shrink` is its gradient in `small` and
/// `grow` that in `large`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConvGeometry {
    pub(crate) large: Image,
    pub(crate) small: Image,
    kernel: i64,
    stride: i64,
    padding: i64,
}

impl ConvGeometry {
    /// From an image to one with `channels`, whose sides are `stride` times shorter, up to a pixel.
    fn shrinking(large: Image, channels: i64, kernel: i64, stride: i64) -> Self {
        let padding = (kernel - 1) / 2;
        let side = (large.side + 2 * padding - kernel) / stride + 1;
        Self {
            large,
            small: Image { channels, side },
            kernel,
            stride,
            padding,
        }
    }

    const fn weight_shape(self) -> [i64; 4] {
        [
            self.small.channels,
            self.large.channels,
            self.kernel,
            self.kernel,
        ]
    }

    /// How many pixels of the large image the windows of the small one do not reach.
    const fn left_over(self) -> i64 {
        (self.large.side + 2 * self.padding - self.kernel) % self.stride
    }

    /// `[N, large], [C_small, C_large, k, k], [C_small] -> [N, small]`
    pub(crate) fn shrink(self, rows: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let (images, stride, padding) = (self.large.of_rows(rows), self.stride, self.padding);
        let output = images.conv2d(
            weight,
            bias,
            [stride, stride],
            [padding, padding],
            [1, 1],
            1,
        );
        output.reshape([-1, self.small.width()])
    }

    /// `[N, small], [C_small, C_large, k, k], [C_large] -> [N, large]`
    pub(crate) fn grow(self, rows: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let (images, stride, padding) = (self.small.of_rows(rows), self.stride, self.padding);
        let output = images.conv_transpose2d(
            weight,
            bias,
            [stride, stride],
            [padding, padding],
            [self.left_over(), self.left_over()],
            1,
            [1, 1],
        );
        output.reshape([-1, self.large.width()])
    }

    /// The gradient of `Σ_n ⟨small_n, shrink(large_n; w)⟩` in `w`: `[N, large], [N, small] ->
    /// [C_small, C_large, k, k]`.
    ///
    /// Entry `(s, l, u, v)` sums `small[n, s, i, j] · large[n, l, i·stride + u, j·stride + v]` over `n, i,
    /// j`: a convolution in which rows are the channels and the small images a kernel that is spread
    /// out by the stride.
    pub(crate) fn in_weight(self, large: &Tensor, small: &Tensor) -> Tensor {
        let by_channel = |images: Tensor| images.transpose(0, 1);
        let (stride, padding) = (self.stride, self.padding);
        let sums = by_channel(self.large.of_rows(large)).conv2d(
            &by_channel(self.small.of_rows(small)),
            None::<Tensor>,
            [1, 1],
            [padding, padding],
            [stride, stride],
            1,
        );
        // [C_large, C_small, k + left_over, k + left_over]
        let sums = sums.narrow(2, 0, self.kernel).narrow(3, 0, self.kernel);
        by_channel(sums)
    }
}

/// The sizes of a convolutional network for square grey images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Pixels along a side of the image.
    pub side: i64,
    /// Channels behind the first and the second convolution, from the image.
    pub channels: [i64; 2],
    /// Pixels along a side of a window.
    pub kernel: i64,
    /// Pixels from one window to the next.
    pub stride: i64,
}

impl ConvShape {
    /// The usual one for images of this size: windows of 4 pixels, 2 apart, so that 28 pixels become 14 and
    /// then 7, and 8 become 4 and 2, with every pixel in the same number of windows but at the border
    /// (Odena, Dumoulin and Olah 2016, "Deconvolution and Checkerboard Artifacts").
    pub const fn halving(side: i64, channels: [i64; 2]) -> Self {
        Self {
            side,
            channels,
            kernel: 4,
            stride: 2,
        }
    }

    /// The two convolutions, from the image on.
    ///
    /// # Panics
    ///
    /// If a window does not cover its stride, or is larger than the image.
    fn geometries(&self) -> [ConvGeometry; 2] {
        let covers = self.stride > 0 && self.kernel >= self.stride;
        assert!(covers, "windows leave no pixel out");
        let image = Image {
            channels: 1,
            side: self.side,
        };
        let first = ConvGeometry::shrinking(image, self.channels[0], self.kernel, self.stride);
        let second =
            ConvGeometry::shrinking(first.small, self.channels[1], self.kernel, self.stride);
        let is_there = |image: Image| image.channels > 0 && image.side > 0;
        let fits = is_there(image) && is_there(first.small) && is_there(second.small);
        assert!(fits, "an image has pixels after each convolution");
        [first, second]
    }

    /// An encoder's network, `side²` inputs to `n_outputs`: two convolutions and a dense layer.
    ///
    /// Zero biases, and normal weights whose variance is one over the number of inputs that an output
    /// adds up (LeCun et al. 1998, "Efficient BackProp", §4.6), drawn with `key`.
    ///
    /// # Panics
    ///
    /// If the sizes do not make a network.
    pub fn encoder(
        &self,
        n_outputs: i64,
        activation: Activation,
        key: SeedKey,
        device: Device,
    ) -> Network {
        let [first, second] = self.geometries();
        let layers = vec![
            random_conv(Map::Shrink(first), key.index(0), device),
            random_conv(Map::Shrink(second), key.index(1), device),
            Layer::random_affine(second.small.width(), n_outputs, key.index(2), device),
        ];
        Network::of(layers, activation)
    }

    /// A decoder's network, `n_inputs` to `side²` outputs: a dense layer and two transposed
    /// convolutions. Weights as in [`ConvShape::encoder`].
    ///
    /// # Panics
    ///
    /// If the sizes do not make a network.
    pub fn decoder(
        &self,
        n_inputs: i64,
        activation: Activation,
        key: SeedKey,
        device: Device,
    ) -> Network {
        let [first, second] = self.geometries();
        let layers = vec![
            Layer::random_affine(n_inputs, second.small.width(), key.index(0), device),
            random_conv(Map::Grow(second), key.index(1), device),
            random_conv(Map::Grow(first), key.index(2), device),
        ];
        Network::of(layers, activation)
    }
}

/// A convolution with random weights, in either direction.
fn random_conv(map: Map, key: SeedKey, device: Device) -> Layer {
    let (geometry, n_biases, summands) = match map {
        Map::Shrink(geometry) => {
            let window = geometry.kernel.pow(2) as f64;
            let summands = geometry.large.channels as f64 * window;
            (geometry, geometry.small.channels, summands)
        }
        // A pixel lies in (kernel / stride)² windows.
        Map::Grow(geometry) => {
            let windows = (geometry.kernel as f64 / geometry.stride as f64).powi(2);
            let summands = geometry.small.channels as f64 * windows;
            (geometry, geometry.large.channels, summands)
        }
        Map::Affine => unreachable!("it is made for convolutions"),
    };
    let shape = geometry.weight_shape();
    let mut noise = NoiseStream::new(key, &[0], device);
    Layer {
        map,
        weight: noise.normal(1, shape.iter().product()).view(shape) / summands.sqrt(),
        bias: Tensor::zeros([n_biases], (Kind::Float, device)),
    }
}
