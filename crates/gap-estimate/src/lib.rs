//! Bounds on the log evidence, each with a standard error and a side.
//!
//! A new estimator of a fitted `q` is one file with one `impl` of [`PosteriorEstimator`], a line in
//! [`posterior_estimator`] and its row in the table of [`gap_spec::estimator`]. Estimators
//! that share a key share draws: the log-weights are streamed once, and each takes its prefix.

mod adaptive;
pub mod annealed;
pub mod closed_form;
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
pub use stream::estimate_all;

use gap_spec::Estimator;

/// The estimator of this name, of `n_samples` draws per datapoint; none for one that is not made from draws of
/// a fitted `q`.
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
