//! Importance weights with a smoothed tail: less noise where the tail is heavy, but no bound.

use crate::estimate::{Accumulator, Estimate, PosteriorEstimator};
use crate::importance::ImportanceWeightStats;
use gap_spec::{Diagnostics, Estimator};

/// The log-mean-exp of `K` log-weights, with the largest ones replaced by quantiles of the generalised Pareto
/// distribution that was fitted to them (PSIS, Vehtari et al. 2024).
///
/// It is reported beside the plain bound on the same draws: smoothing trades variance for a bias of either
/// sign. Where no distribution can be fitted, as in a tail of too few weights, it equals the plain bound.
#[derive(Clone, Copy, Debug)]
pub struct ParetoSmoothed {
    /// The number of draws per datapoint, `K`.
    pub n_samples: u64,
}

impl PosteriorEstimator for ParetoSmoothed {
    fn n_samples(&self) -> u64 {
        self.n_samples
    }

    fn estimator(&self) -> Estimator {
        Estimator::ParetoSmoothed
    }

    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(ParetoSmoothedAccumulator(
            ImportanceWeightStats::with_capacity_for_draws(self.n_samples),
        ))
    }
}

struct ParetoSmoothedAccumulator(ImportanceWeightStats);

impl Accumulator for ParetoSmoothedAccumulator {
    fn push(&mut self, log_weight: f64) {
        self.0.push(log_weight);
    }

    fn finish(&self) -> Estimate {
        let ImportanceWeightStats { weights, tail } = &self.0;
        let (plain, fitted) = self.0.finish_with_tail();
        let Some(sums) = fitted.and_then(|fitted| tail.tail_sums(&fitted)) else {
            return plain;
        };
        let smoothed = weights.with_tail_sums_replaced(&sums, sums.smoothed);
        let expected = sums.expected.unwrap_or(sums.smoothed);
        let expected = weights.with_tail_sums_replaced(&sums, expected);
        Estimate {
            value_nats: smoothed.value(),
            std_error_nats: smoothed.std_error_with_wider_spread(&expected),
            diagnostics: Diagnostics {
                effective_samples: Some(smoothed.effective_sample_size()),
                ..plain.diagnostics
            },
            ..plain
        }
    }
}
