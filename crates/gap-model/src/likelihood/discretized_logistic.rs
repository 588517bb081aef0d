//! Grey values on a few equally spaced levels, each the probability that a logistic variable rounds to it.

use super::formulas::{LikelihoodFormulas, SupportMask, sum_over_observed_dims};
use super::learned_scale::LearnedScale;
use gap_torch::NoiseStream;
use tch::Tensor;

/// How far from a level an observation may lie, in levels: `f32` rounds 255/255 to within 1e-7.
const LEVEL_TOLERANCE: f64 = 1e-3;

/// `x` is the level of `[0, 1]` nearest to a logistic variable with mean `output` and a scale that is
/// learned; the outermost levels take the tails (Salimans et al. 2017, `PixelCNN++`, §2.1; Kingma et
/// al. 2016, "Improved Variational Inference with Inverse Autoregressive Flow").
///
/// With half the distance of two levels `δ`, `a = (x + δ − output) / s` and `b = (x − δ − output) / s`,
/// the probability is `σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b−a))`: three factors, none of which cancels, and
/// the last does not depend on the output. At the lowest level `b = −∞`, at the highest `a = ∞`. So
///
/// - `log p = log σ(a) + log σ(−b) + log(1 − e^(−2δ/s))`, of which the lowest level has the first term
///   alone and the highest the second;
/// - the gradient in the output is `(σ(a) + σ(b) − 1) / s`, with `σ(b) = 0` and `σ(a) = 1` there;
/// - that in `log s` is `−a σ(−a) + b σ(b) − w / (e^w − 1)`, `w = 2δ/s`, term by term likewise.
#[derive(Clone, Debug)]
pub struct DiscretizedLogistic {
    /// How many levels there are, from 0 to 1: two or more.
    pub n_levels: i64,
    /// `[X]`
    pub scale: LearnedScale,
}

/// What the formulas are made of.
struct StandardizedBins {
    above: Tensor,      // a, [N, X]
    below: Tensor,      // b, [N, X]
    width: Tensor,      // w, [X]
    precision: Tensor,  // 1 / s, [X]
    is_lowest: Tensor,  // [N, X]
    is_highest: Tensor, // [N, X]
}

impl StandardizedBins {
    /// `[N, X]`: `width_term` between the outermost levels, 0 there.
    fn zero_at_outermost_levels(&self, width_term: &Tensor) -> Tensor {
        let is_outermost = self.is_lowest.logical_or(&self.is_highest);
        width_term
            .expand_as(&self.above)
            .masked_fill(&is_outermost, 0.0)
    }
}

impl DiscretizedLogistic {
    /// Half the distance of two levels.
    fn half_level_spacing(&self) -> f64 {
        0.5 / (self.n_levels - 1) as f64
    }

    fn standardized_bins(&self, x: &Tensor, output: &Tensor) -> StandardizedBins {
        let half_level_spacing = self.half_level_spacing();
        let precision = (-self.scale.log_scale()).exp();
        let centred = (x - output) * &precision;
        let half_width = &precision * half_level_spacing;
        StandardizedBins {
            above: &centred + &half_width,
            below: &centred - &half_width,
            width: half_width * 2.0,
            precision,
            is_lowest: x.le(half_level_spacing),
            is_highest: x.ge(1.0 - half_level_spacing),
        }
    }
}

impl LikelihoodFormulas for DiscretizedLogistic {
    fn log_prob(&self, x: &Tensor, output: &Tensor) -> Tensor {
        let bins = self.standardized_bins(x, output);
        let mut terms = bins.above.log_sigmoid().masked_fill(&bins.is_highest, 0.0);
        let below = (-&bins.below).log_sigmoid();
        terms += below.masked_fill(&bins.is_lowest, 0.0);
        terms += bins.zero_at_outermost_levels(&(-(-&bins.width).expm1()).log());
        sum_over_observed_dims(&terms)
    }

    fn output_gradient_in_place(&self, x: &Tensor, output: &mut Tensor) {
        let bins = self.standardized_bins(x, output);
        let above = bins.above.sigmoid().masked_fill(&bins.is_highest, 1.0);
        let below = bins.below.sigmoid().masked_fill(&bins.is_lowest, 0.0);
        let _ = (above + below - 1.0).multiply_out(output, &bins.precision);
    }

    /// By inversion: `output + s log(u / (1 − u))` is logistic.
    fn sample(&self, output: &Tensor, noise: &mut NoiseStream) -> Tensor {
        let uniform = noise.uniform(1, output.size()[1]).squeeze_dim(0);
        let logistic = uniform.to_kind(output.kind()).logit(None);
        let value = output + logistic * self.scale.log_scale().exp();
        let highest = (self.n_levels - 1) as f64;
        (value * highest).round().clamp(0.0, highest) / highest
    }

    fn support_mask(&self, x: &Tensor) -> SupportMask {
        let level = x * (self.n_levels - 1) as f64;
        let is_level = (&level - level.round()).abs().le(LEVEL_TOLERANCE);
        let is_between = x
            .ge(-LEVEL_TOLERANCE)
            .logical_and(&x.le(1.0 + LEVEL_TOLERANCE));
        SupportMask {
            likelihood: "the discretized logistic likelihood",
            needs: "one of its levels from 0 to 1 (give it as many levels as the data has)",
            inside: is_level.logical_and(&is_between),
        }
    }

    fn log_scale_gradient(&self, x: &Tensor, output: &Tensor) -> Option<Tensor> {
        let bins = self.standardized_bins(x, output);
        let above = -&bins.above * (-&bins.above).sigmoid();
        let below = &bins.below * bins.below.sigmoid();
        let between = -&bins.width / bins.width.expm1();
        Some(
            above.masked_fill(&bins.is_highest, 0.0)
                + below.masked_fill(&bins.is_lowest, 0.0)
                + bins.zero_at_outermost_levels(&between),
        )
    }
}
