//! The evidence lower bound `L[q] = E_q[log p(x, z) − log q(z)]`.

use crate::draw_blocks::DrawBlocks;
use crate::estimate::{Accumulator, Estimate, PosteriorEstimator};
use gap_spec::{Diagnostics, Estimator, Trust};

/// The mean log-weight, with the standard error of a mean.
#[derive(Clone, Copy, Debug)]
pub struct Elbo {
    /// Draws per datapoint.
    pub n_samples: u64,
}

impl PosteriorEstimator for Elbo {
    fn n_samples(&self) -> u64 {
        self.n_samples
    }

    fn estimator(&self) -> Estimator {
        Estimator::Elbo
    }

    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(ElboAccumulator {
            all: MeanAndVariance::default(),
            blocks: DrawBlocks::new(self.n_samples),
        })
    }
}

struct ElboAccumulator {
    all: MeanAndVariance,
    blocks: DrawBlocks<MeanAndVariance>,
}

impl Accumulator for ElboAccumulator {
    fn push(&mut self, log_weight: f64) {
        self.all.push(log_weight);
        self.blocks.note(self.all.count, || self.all.clone());
    }

    fn finish(&self) -> Estimate {
        let sum = |state: &MeanAndVariance| state.mean * state.count as f64;
        let blocks = self.blocks.deviations(|before, after, n| {
            (sum(after) - before.map_or(0.0, sum)) / n - self.all.mean
        });
        let mut estimate = self.all.finish();
        estimate.diagnostics.blocks = blocks;
        estimate
    }
}

/// Welford's one-pass mean and variance (Welford 1962).
#[derive(Clone, Default)]
pub struct MeanAndVariance {
    count: u64,
    mean: f64,
    sum_of_squares: f64,
}

impl MeanAndVariance {
    /// The unbiased variance; infinite for a single number.
    pub fn variance(&self) -> f64 {
        if self.count < 2 {
            return f64::INFINITY;
        }
        self.sum_of_squares / (self.count - 1) as f64
    }
}

impl Accumulator for MeanAndVariance {
    fn push(&mut self, log_weight: f64) {
        self.count += 1;
        let before = log_weight - self.mean;
        self.mean += before / self.count as f64;
        self.sum_of_squares += before * (log_weight - self.mean);
    }

    fn finish(&self) -> Estimate {
        Estimate {
            value_nats: self.mean,
            std_error_nats: (self.variance() / self.count as f64).sqrt(),
            trust: if self.mean.is_finite() {
                Trust::Ok
            } else {
                Trust::NonFinite
            },
            n_samples: self.count,
            diagnostics: Diagnostics {
                joint_evaluations: self.count,
                ..Diagnostics::default()
            },
        }
    }
}
