//! Estimates of the log evidence, each with a standard error, and most of them bounds: [`Estimator::side`]
//! says on which side of `log p(x)` their expectation lies.
//!
//! A new estimator of a fitted `q` is one file with one `impl` of [`PosteriorEstimator`], a line in
//! [`posterior_estimator`] and its row in the table of [`gap_spec::estimator`]. Estimators that run together
//! share their draws: the log-weights are computed once, and each estimator takes as many as it needs, from
//! the first on.

mod adaptive;
pub mod annealed;
pub mod closed_form;
mod draw_blocks;
mod elbo;
pub mod estimate;
mod importance;
mod log_mean_exp;
mod log_weights;
mod smoothed;
pub mod stream;
mod weight_tail;

pub use adaptive::estimate_adaptively;
pub use annealed::{Annealing, HmcSettings, InitialGaussian};
pub use closed_form::ClosedForms;
pub use elbo::Elbo;
pub use estimate::{Accumulator, Estimate, EstimateError, PosteriorEstimator};
pub use importance::ImportanceWeighted;
pub use log_mean_exp::LogMeanExp;
pub use smoothed::ParetoSmoothed;
pub use stream::{EstimationTask, estimate_all, estimate_each};
pub use weight_tail::tail_length;

use gap_spec::Estimator;

/// Returns the estimator of this name with `n_samples` draws per datapoint, or `None` if it does not use
/// draws of a fitted `q`.
pub fn posterior_estimator(
    estimator: Estimator,
    n_samples: u64,
) -> Option<Box<dyn PosteriorEstimator>> {
    Some(match estimator {
        Estimator::Elbo => Box::new(Elbo { n_samples }),
        Estimator::ImportanceWeighted => Box::new(ImportanceWeighted { n_samples }),
        Estimator::ParetoSmoothed => Box::new(ParetoSmoothed { n_samples }),
        _ => return None,
    })
}
