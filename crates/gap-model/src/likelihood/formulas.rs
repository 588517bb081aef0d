//! The interface that the formulas of each likelihood implement.

use gap_torch::NoiseStream;
use tch::{Kind, Tensor};

/// The formulas of a likelihood. Rows are datapoints, and a row's results do not depend on the other rows.
pub(super) trait LikelihoodFormulas {
    /// `log p(x | output)`, nats, summed in `f64`, differentiable: `[N, X], [N, X] -> [N]`.
    fn log_prob(&self, x: &Tensor, output: &Tensor) -> Tensor;

    /// Replaces `output` by `∂ log p(x | output) / ∂ output`, in place and without a graph: `[N, X], [N, X]`.
    fn output_gradient_in_place(&self, x: &Tensor, output: &mut Tensor);

    /// Draws one observation for each row of `output`, `[B, X]`, from `noise`.
    fn sample(&self, output: &Tensor, noise: &mut NoiseStream) -> Tensor;

    /// Where in `x` the likelihood has a density.
    fn support_mask(&self, x: &Tensor) -> SupportMask;

    /// The canonical form of the gradient, if it has one.
    fn canonical_gradient(&self) -> Option<CanonicalGradient> {
        None
    }

    /// `∂ log p(x | output) / ∂ log scale`, where the scale is learned: `[N, X], [N, X] -> [N, X]`.
    fn log_scale_gradient(&self, _x: &Tensor, _output: &Tensor) -> Option<Tensor> {
        None
    }
}

/// The support of a likelihood: a description of it, and where the values of one batch lie inside it.
pub(super) struct SupportMask {
    pub(super) likelihood: &'static str,
    pub(super) needs: &'static str,
    pub(super) inside: Tensor, // [N, X], booleans
}

/// The gradient of a log likelihood with respect to the output, if it is `(x − mean(output)) / dispersion`.
///
/// It has this form if `log p(x | η) = (x η − A(η)) / φ + c(x)` and the decoder's output is `η`: the mean of
/// `x` is then `A'(η)` (Nelder and Wedderburn 1972, "Generalized Linear Models"). The gradient is affine in
/// `x`, so that its part in `x` can be pulled back through an affine last layer once per observation.
pub(crate) struct CanonicalGradient {
    /// The variance of an observation, divided by the derivative of its mean with respect to the output.
    pub(crate) dispersion: f64,
    /// Overwrites the output with the mean of `x`.
    pub(crate) mean_in_place: fn(&mut Tensor),
}

/// The sum over observed dimensions, in `f64`: `[N, X] -> [N]`.
pub(super) fn sum_over_observed_dims(terms: &Tensor) -> Tensor {
    terms.sum_dim_intlist([-1_i64].as_slice(), false, Kind::Double)
}
