//! Real observations `N(output, std² I)`: `mean = output`, `dispersion = std²`.

use super::formulas::{CanonicalGradient, LikelihoodFormulas, SupportMask, sum_over_observed_dims};
use gap_torch::NoiseStream;
use std::f64::consts::TAU;
use tch::Tensor;

/// The Gaussian likelihood with one given standard deviation.
pub(super) struct Gaussian {
    pub(super) std: f64,
}

/// The support of any Gaussian: all finite values.
pub(super) fn finite_support_mask(x: &Tensor) -> SupportMask {
    SupportMask {
        likelihood: "the Gaussian likelihood",
        needs: "finite",
        inside: x.isfinite(),
    }
}

impl LikelihoodFormulas for Gaussian {
    fn log_prob(&self, x: &Tensor, output: &Tensor) -> Tensor {
        let variance = self.std.powi(2);
        let constant = 0.5 * output.size()[1] as f64 * (TAU * variance).ln();
        sum_over_observed_dims(&(x - output).square()) * (-0.5 / variance) - constant
    }

    fn output_gradient_in_place(&self, x: &Tensor, output: &mut Tensor) {
        let _ = x.sub_out(output, output);
        *output /= self.std.powi(2);
    }

    fn sample(&self, output: &Tensor, noise: &mut NoiseStream) -> Tensor {
        let normal = noise.normal(1, output.size()[1]).squeeze_dim(0);
        output + normal.to_kind(output.kind()) * self.std
    }

    fn support_mask(&self, x: &Tensor) -> SupportMask {
        finite_support_mask(x)
    }

    fn canonical_gradient(&self) -> Option<CanonicalGradient> {
        Some(CanonicalGradient {
            dispersion: self.std.powi(2),
            mean_in_place: |_| (),
        })
    }
}
