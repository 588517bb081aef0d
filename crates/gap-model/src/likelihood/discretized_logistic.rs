//! Grey values on equally spaced levels. A level's probability is that of a logistic variable being rounded
//! to it.

use super::formulas::{LikelihoodFormulas, SupportMask, sum_over_observed_dims};
use super::learned_scale::LearnedScale;
use gap_torch::NoiseStream;
use tch::Tensor;

/// How far an observation may lie from a level, in units of the distance between two levels. Rounding to
/// `f32` moves an 8-bit grey value by far less.
const LEVEL_TOLERANCE: f64 = 1e-3;

/// `x` is the level in `[0, 1]` nearest to a logistic variable with mean `output` and a learned scale `s`;
/// the outermost levels also take the tails (Salimans et al. 2017, `PixelCNN++`, §2.1; Kingma et al. 2016,
/// "Improved Variational Inference with Inverse Autoregressive Flow").
///
/// Let `δ` be half the distance between two levels, `a = (x + δ − output) / s` and
/// `b = (x − δ − output) / s`. The probability is `σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b−a))`. None of the three
/// factors suffers from cancellation, and the last does not depend on the output. At the lowest level
/// `b = −∞`, at the highest `a = ∞`. So
///
/// - `log p = log σ(a) + log σ(−b) + log(1 − e^(−2δ/s))`, of which only the first term remains at the lowest
///   level, and only the second at the highest;
/// - the gradient with respect to the output is `(σ(a) + σ(b) − 1) / s`, with `σ(b) = 0` at the lowest level
///   and `σ(a) = 1` at the highest;
/// - the gradient with respect to `log s` is `−a σ(−a) + b σ(b) − w / (e^w − 1)` with `w = 2δ/s`. Only the
///   first term remains at the lowest level, and only the second at the highest.
#[derive(Clone, Debug)]
pub struct DiscretizedLogistic {
    /// The number of levels from 0 to 1: two or more.
    pub n_levels: i64,
    /// The scale of each observed dimension, `[X]`.
    pub scale: LearnedScale,
}

/// The terms of the formulas of [`DiscretizedLogistic`].
struct StandardizedBins {
    above: Tensor,      // a, [N, X]
    below: Tensor,      // b, [N, X]
    width: Tensor,      // w, [X]
    precision: Tensor,  // 1 / s, [X]
    is_lowest: Tensor,  // [N, X]
    is_highest: Tensor, // [N, X]
}

impl StandardizedBins {
    /// Returns `width_term` for each observation, with 0 at the outermost levels: `[X] -> [N, X]`.
    fn zero_at_outermost_levels(&self, width_term: &Tensor) -> Tensor {
        let is_outermost = self.is_lowest.logical_or(&self.is_highest);
        width_term
            .expand_as(&self.above)
            .masked_fill(&is_outermost, 0.0)
    }
}

impl DiscretizedLogistic {
    /// Half the distance between two levels.
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

    /// Draws by inversion: `output + s log(u / (1 − u))` is logistic for a uniform `u`.
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
