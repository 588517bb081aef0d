//! What each likelihood answers.

use gap_torch::NoiseStream;
use tch::{Kind, Tensor};

/// What a likelihood must answer. Rows are datapoints; none depends on another.
pub(super) trait LikelihoodFormulas {
    /// `log p(x | output)`, nats, summed in `f64`, differentiable: `[N, X], [N, X] -> [N]`.
    fn log_prob(&self, x: &Tensor, output: &Tensor) -> Tensor;

    /// Writes `∂ log p(x | output) / ∂ output` over `output`, without a graph: `[N, X], [N, X]`.
    fn output_gradient_in_place(&self, x: &Tensor, output: &mut Tensor);

    /// One observation for each row of `output`, `[B, X]`, with draws from `noise`.
    fn sample(&self, output: &Tensor, noise: &mut NoiseStream) -> Tensor;

    /// Where it has a density.
    fn support_mask(&self, x: &Tensor) -> SupportMask;

    /// Its gradient's form, if it is that one.
    fn canonical_gradient(&self) -> Option<CanonicalGradient> {
        None
    }

    /// `∂ log p(x | output) / ∂ log scale`, where the scale is learned: `[N, X], [N, X] -> [N, X]`.
    fn log_scale_gradient(&self, _x: &Tensor, _output: &Tensor) -> Option<Tensor> {
        None
    }
}

/// Where a likelihood has a density, in words and in one batch.
pub(super) struct SupportMask {
    pub(super) likelihood: &'static str,
    pub(super) needs: &'static str,
    pub(super) inside: Tensor, // [N, X], booleans
}

/// A gradient in the output of the form `(x − mean(output)) / dispersion`.
///
/// That is so where `log p(x | η) = (x η − A(η)) / φ + c(x)` and the decoder gives `η`: the mean of
/// `x` is then `A'(η)` (Nelder and Wedderburn 1972, "Generalized Linear Models"). As the gradient is
/// affine in `x`, its part in `x` can be taken through an affine last layer once per observation.
pub(crate) struct CanonicalGradient {
    /// The variance of an observation over the derivative of its mean in the output.
    pub(crate) dispersion: f64,
    /// Writes the mean of `x` over the output.
    pub(crate) mean_in_place: fn(&mut Tensor),
}

/// The sum over observed dimensions, in `f64`: `[N, X] -> [N]`.
pub(super) fn sum_over_observed_dims(terms: &Tensor) -> Tensor {
    terms.sum_dim_intlist([-1_i64].as_slice(), false, Kind::Double)
}
