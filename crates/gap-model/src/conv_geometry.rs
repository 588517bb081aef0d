//! Strided convolutions of images that are stored as rows, and their adjoints.

use tch::Tensor;

/// The shape of a square image, which is stored channel by channel in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImageShape {
    pub(crate) channels: i64,
    pub(crate) side: i64,
}

impl ImageShape {
    /// The number of values in a row.
    pub(crate) const fn row_width(self) -> i64 {
        self.channels * self.side * self.side
    }

    /// Reshapes rows to images: `[N, W] -> [N, C, side, side]`.
    fn rows_to_images(self, rows: &Tensor) -> Tensor {
        rows.reshape([-1, self.channels, self.side, self.side])
    }

    /// Sums over the pixels of each channel: `[N, W] -> [N, C]`.
    pub(crate) fn sum_per_channel(self, rows: &Tensor) -> Tensor {
        let pixels = rows.reshape([-1, self.channels, self.side * self.side]);
        pixels.sum_dim_intlist([2_i64].as_slice(), false, rows.kind())
    }
}

/// A strided convolution from a large image to a small one, and its transpose.
///
/// Both use a weight of shape `[C_small, C_large, kernel, kernel]`, and they are each other's adjoint: for
/// `f(large, small, w) = ⟨small, convolve(large; w)⟩`, `convolve` is the gradient with respect to `small`, and
/// `convolve_transposed` is the gradient with respect to `large`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConvGeometry {
    pub(crate) large: ImageShape,
    pub(crate) small: ImageShape,
    pub(crate) kernel: i64,
    pub(crate) stride: i64,
    pub(crate) padding: i64,
}

impl ConvGeometry {
    /// The convolution from `large` to an image with `channels` channels, whose side is `stride` times
    /// shorter, up to a pixel.
    pub(crate) fn from_large_image(
        large: ImageShape,
        channels: i64,
        kernel: i64,
        stride: i64,
    ) -> Self {
        let padding = (kernel - 1) / 2;
        let side = (large.side + 2 * padding - kernel) / stride + 1;
        Self {
            large,
            small: ImageShape { channels, side },
            kernel,
            stride,
            padding,
        }
    }

    pub(crate) const fn weight_shape(self) -> [i64; 4] {
        [
            self.small.channels,
            self.large.channels,
            self.kernel,
            self.kernel,
        ]
    }

    /// The number of pixels, at the end of each axis of the padded large image, that no window reaches.
    const fn output_padding(self) -> i64 {
        (self.large.side + 2 * self.padding - self.kernel) % self.stride
    }

    /// Convolves images: `[N, large], [C_small, C_large, k, k], [C_small] -> [N, small]`.
    pub(crate) fn convolve(self, rows: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let (images, stride, padding) =
            (self.large.rows_to_images(rows), self.stride, self.padding);
        let output = images.conv2d(
            weight,
            bias,
            [stride, stride],
            [padding, padding],
            [1, 1],
            1,
        );
        output.reshape([-1, self.small.row_width()])
    }

    /// Convolves images by the transpose: `[N, small], [C_small, C_large, k, k], [C_large] -> [N, large]`.
    pub(crate) fn convolve_transposed(
        self,
        rows: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Tensor {
        let (images, stride, padding) =
            (self.small.rows_to_images(rows), self.stride, self.padding);
        let output = images.conv_transpose2d(
            weight,
            bias,
            [stride, stride],
            [padding, padding],
            [self.output_padding(), self.output_padding()],
            1,
            [1, 1],
        );
        output.reshape([-1, self.large.row_width()])
    }

    /// The gradient of `Σ_n ⟨small_n, convolve(large_n; w)⟩` with respect to `w`:
    /// `[N, large], [N, small] -> [C_small, C_large, k, k]`.
    ///
    /// Entry `(s, l, u, v)` is the sum of `small[n, s, i, j] · large[n, l, i·stride + u, j·stride + v]` over
    /// `n, i, j`: a convolution in which the rows act as channels, and the small images, dilated by the
    /// stride, as kernels.
    pub(crate) fn weight_gradient(self, large: &Tensor, small: &Tensor) -> Tensor {
        let by_channel = |images: Tensor| images.transpose(0, 1);
        let (stride, padding) = (self.stride, self.padding);
        let sums = by_channel(self.large.rows_to_images(large)).conv2d(
            &by_channel(self.small.rows_to_images(small)),
            None::<Tensor>,
            [1, 1],
            [padding, padding],
            [stride, stride],
            1,
        );
        // [C_large, C_small, k + output_padding, k + output_padding]
        let sums = sums.narrow(2, 0, self.kernel).narrow(3, 0, self.kernel);
        by_channel(sums)
    }
}
