//! Binary observations from logits: `mean = σ(output)`, `dispersion = 1`.

use super::formulas::{CanonicalGradient, LikelihoodFormulas, SupportMask, sum_over_observed_dims};
use gap_torch::NoiseStream;
use tch::Tensor;

/// The Bernoulli likelihood of a logit `l`: `log p(x | l) = x l − log(1 + e^l)`.
pub(super) struct Bernoulli;

/// Replaces each logit `l` by the mean `σ(l)`, in place.
fn mean_in_place(logits: &mut Tensor) {
    let _ = logits.sigmoid_();
}

impl LikelihoodFormulas for Bernoulli {
    fn log_prob(&self, x: &Tensor, output: &Tensor) -> Tensor {
        let mut terms = x * output;
        terms -= output.softplus();
        sum_over_observed_dims(&terms)
    }

    fn output_gradient_in_place(&self, x: &Tensor, output: &mut Tensor) {
        mean_in_place(output);
        let _ = x.sub_out(output, output);
    }

    fn sample(&self, output: &Tensor, noise: &mut NoiseStream) -> Tensor {
        let uniform = noise.uniform(1, output.size()[1]).squeeze_dim(0);
        uniform.lt_tensor(&output.sigmoid()).to_kind(output.kind())
    }

    fn support_mask(&self, x: &Tensor) -> SupportMask {
        SupportMask {
            likelihood: "the Bernoulli likelihood",
            needs: "0 or 1 (use a binarized data set)",
            inside: x.eq(0.0).logical_or(&x.eq(1.0)),
        }
    }

    fn canonical_gradient(&self) -> Option<CanonicalGradient> {
        Some(CanonicalGradient {
            dispersion: 1.0,
            mean_in_place,
        })
    }
}
