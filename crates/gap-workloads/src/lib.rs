//! Workloads for measuring speed, in benches and side by side with other libraries.
//!
//! A [`Work`] describes a workload by its kind and sizes. A [`Workload`] is set up from that description and
//! can be run repeatedly; it uses only public items of the other crates. `scripts/peers/` implements the same
//! mathematics with other libraries.
//!
//! Benches are measured by criterion, and are in the crates whose code they measure; `amortgap bench` makes a
//! table and a figure of their results. The comparison with other libraries measures with [`rate()`].

#[cfg(feature = "criterion")]
mod bench;
mod one_observation;
mod problem;
pub mod rate;
mod refinement_problem;
pub mod work;
mod worker_pool;
mod workload;

#[cfg(feature = "criterion")]
pub use bench::bench;
pub use rate::rate;
pub use refinement_problem::RefinementProblem;
pub use work::{Method, Work};
pub use worker_pool::WorkerPool;
pub use workload::{Share, Workload};
