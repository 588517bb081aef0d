//! The importance-weighted bound `IW_K[q] = E log (1/K) Σ_k p(x, z_k) / q(z_k)`.

use crate::draw_blocks::DrawBlocks;
use crate::estimate::{Accumulator, Estimate, PosteriorEstimator};
use crate::log_mean_exp::LogMeanExp;
use crate::weight_tail::{ParetoTail, WeightTail, max_trusted_pareto_shape};
use gap_spec::{Diagnostics, Estimator, Trust};

/// The fewest effective draws for which the delta method's standard error is trusted.
const MIN_TRUSTED_EFFECTIVE_SAMPLES: f64 = 20.0;

/// The log-mean-exp of `K` log-weights: a lower bound in expectation, tighter with every draw (Burda, Grosse
/// and Salakhutdinov 2016).
///
/// Its standard error is the delta method's, `sd(w) / (√K mean(w))`. There `sd(w)` is the sample's, or that
/// of weights whose tail follows the Pareto distribution fitted to it, whichever is larger: a tail of few
/// draws usually looks thinner than it is. On linear-Gaussian problems 95% intervals contain the estimator's
/// mean in 89 to 93% of cases without this correction, and in 94 to 97% with it. The shape of the tail says
/// where even this cannot be trusted.
#[derive(Clone, Copy, Debug)]
pub struct ImportanceWeighted {
    /// The number of draws per datapoint, `K`.
    pub n_samples: u64,
}

impl PosteriorEstimator for ImportanceWeighted {
    fn n_samples(&self) -> u64 {
        self.n_samples
    }

    fn estimator(&self) -> Estimator {
        Estimator::ImportanceWeighted
    }

    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(ImportanceWeightedAccumulator {
            all: ImportanceWeightStats::with_capacity_for_draws(self.n_samples),
            blocks: DrawBlocks::new(self.n_samples),
        })
    }
}

struct ImportanceWeightedAccumulator {
    all: ImportanceWeightStats,
    blocks: DrawBlocks<LogMeanExp>,
}

impl Accumulator for ImportanceWeightedAccumulator {
    fn push(&mut self, log_weight: f64) {
        self.all.push(log_weight);
        let weights = &self.all.weights;
        self.blocks.note(weights.count(), || *weights);
    }

    fn finish(&self) -> Estimate {
        // To first order, log mean w changes by the relative change of the mean.
        let all = &self.all.weights;
        let share = |state: &LogMeanExp| state.share_of_sum(all);
        let blocks = self.blocks.deviations(|before, after, n| {
            (share(after) - before.map_or(0.0, share)) * all.count() as f64 / n - 1.0
        });
        let mut estimate = self.all.finish();
        estimate.diagnostics.blocks = blocks;
        estimate
    }
}

/// The weights of some draws: their sums, and their tail.
pub struct ImportanceWeightStats {
    pub weights: LogMeanExp,
    pub tail: WeightTail,
}

impl ImportanceWeightStats {
    /// Creates empty statistics for `n` draws.
    pub fn with_capacity_for_draws(n: u64) -> Self {
        Self {
            weights: LogMeanExp::default(),
            tail: WeightTail::with_capacity_for_draws(n),
        }
    }
}

impl Accumulator for ImportanceWeightStats {
    fn push(&mut self, log_weight: f64) {
        self.weights.push(log_weight);
        self.tail.push(log_weight);
    }

    fn finish(&self) -> Estimate {
        self.finish_with_tail().0
    }
}

impl ImportanceWeightStats {
    /// Returns the estimate, and the distribution that was fitted to the tail of the weights.
    pub fn finish_with_tail(&self) -> (Estimate, Option<ParetoTail>) {
        let effective = self.weights.effective_sample_size();
        let n_samples = self.weights.count();
        let tail = self.tail.fit();
        let pareto_k = tail.map(|tail| tail.shape);
        let expected = tail.and_then(|tail| {
            let sums = self.tail.tail_sums(&tail)?;
            Some(self.weights.with_tail_sums_replaced(&sums, sums.expected?))
        });
        let is_heavy = pareto_k.is_some_and(|k| k > max_trusted_pareto_shape(n_samples));
        let trust = if !self.weights.value().is_finite() {
            Trust::NonFinite
        } else if is_heavy {
            Trust::HeavyTail
        } else if effective < MIN_TRUSTED_EFFECTIVE_SAMPLES {
            Trust::FewEffectiveSamples
        } else {
            Trust::Ok
        };
        let estimate = Estimate {
            value_nats: self.weights.value(),
            std_error_nats: match expected {
                Some(expected) => self.weights.std_error_with_wider_spread(&expected),
                None => self.weights.std_error(),
            },
            trust,
            n_samples,
            diagnostics: Diagnostics {
                effective_samples: Some(effective),
                pareto_k,
                joint_evaluations: n_samples,
                ..Diagnostics::default()
            },
        };
        (estimate, tail)
    }
}
