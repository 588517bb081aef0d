//! The importance-weighted bound `IW_K[q] = E log (1/K) Σ_k p(x, z_k) / q(z_k)`.

use crate::estimate::{Accumulator, Estimate, PosteriorEstimator, Side, Trust};
use crate::log_mean_exp::LogMeanExp;

/// Below this many effective draws the delta method's error is not to be relied on.
const FEWEST_EFFECTIVE: f64 = 20.0;

/// The log-mean-exp of `K` log-weights (Burda, Grosse and Salakhutdinov 2016): from below,
/// tighter with every draw. Its standard error is the delta method's.
#[derive(Clone, Copy, Debug)]
pub struct ImportanceWeighted {
    /// `K`.
    pub n_samples: u64,
}

impl PosteriorEstimator for ImportanceWeighted {
    fn n_samples(&self) -> u64 {
        self.n_samples
    }

    fn side(&self) -> Side {
        Side::Lower
    }

    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::<LogMeanExp>::default()
    }
}

impl Accumulator for LogMeanExp {
    fn push(&mut self, log_weight: f64) {
        Self::push(self, log_weight);
    }

    fn finish(&self) -> Estimate {
        let effective = self.effective_sample_size();
        let trust = if !self.value().is_finite() {
            Trust::NonFinite
        } else if effective < FEWEST_EFFECTIVE {
            Trust::FewEffectiveSamples { effective }
        } else {
            Trust::Ok
        };
        Estimate {
            value_nats: self.value(),
            std_error_nats: self.std_error(),
            trust,
        }
    }
}
