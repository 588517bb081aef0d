//! Real observations, with a standard deviation for each dimension that is learned along with the decoder.

use super::formulas::{LikelihoodFormulas, SupportMask, sum_over_observed_dims};
use super::gaussian::finite_support_mask;
use super::learned_scale::LearnedScale;
use gap_torch::NoiseStream;
use std::f64::consts::TAU;
use tch::Tensor;

/// The likelihood `x_j ~ N(output_j, std_j²)` with a learned `std`.
///
/// With `r = (x − output) / std`, the gradient is `r / std` with respect to the output, and `r² − 1` with
/// respect to `log std`.
#[derive(Clone, Debug)]
pub struct LearnedGaussian {
    /// The standard deviation of each observed dimension, `[X]`.
    pub std: LearnedScale,
}

impl LearnedGaussian {
    /// Returns `1 / std` and `r = (x − output) / std`: `[X], [N, X]`.
    fn inverse_std_and_standardized(&self, x: &Tensor, output: &Tensor) -> (Tensor, Tensor) {
        let precision_root = (-self.std.log_scale()).exp();
        let standardized = (x - output) * &precision_root;
        (precision_root, standardized)
    }
}

impl LikelihoodFormulas for LearnedGaussian {
    fn log_prob(&self, x: &Tensor, output: &Tensor) -> Tensor {
        let (_, standardized) = self.inverse_std_and_standardized(x, output);
        let log_volume = self.std.log_scale().sum(tch::Kind::Double);
        let constant = 0.5 * output.size()[1] as f64 * TAU.ln();
        sum_over_observed_dims(&standardized.square()) * -0.5 - log_volume - constant
    }

    fn output_gradient_in_place(&self, x: &Tensor, output: &mut Tensor) {
        let (precision_root, standardized) = self.inverse_std_and_standardized(x, output);
        let _ = standardized.multiply_out(output, &precision_root);
    }

    fn sample(&self, output: &Tensor, noise: &mut NoiseStream) -> Tensor {
        let normal = noise.normal(1, output.size()[1]).squeeze_dim(0);
        output + normal.to_kind(output.kind()) * self.std.log_scale().exp()
    }

    fn support_mask(&self, x: &Tensor) -> SupportMask {
        finite_support_mask(x)
    }

    fn log_scale_gradient(&self, x: &Tensor, output: &Tensor) -> Option<Tensor> {
        let (_, standardized) = self.inverse_std_and_standardized(x, output);
        Some(standardized.square() - 1.0)
    }
}
