//! Bounds on the log evidence, each with a standard error and a side.
//!
//! A new estimator of a fitted `q` is one file with one `impl` of [`PosteriorEstimator`]. Estimators
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

pub use adaptive::Adaptive;
pub use annealed::{Anchor, Annealing, Transitions};
pub use closed_form::ClosedForms;
pub use elbo::Elbo;
pub use estimate::{
    Accumulator, Diagnostics, Estimate, EstimateError, PosteriorEstimator, Side, Trust,
};
pub use importance::ImportanceWeighted;
pub use log_mean_exp::LogMeanExp;
pub use smoothed::ParetoSmoothed;
pub use stream::estimate_all;
