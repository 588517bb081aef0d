//! The workloads whose speed is compared: with ourselves in benches, with other libraries side by side.
//!
//! A [`Work`] is a name and its sizes; a [`Workload`] is one that was set up and can be run again and
//! again, through the crates' public items alone. `scripts/peers/` has the same mathematics in other
//! libraries. Nothing here measures: criterion does, and [`rate()`] for the comparison. The benches are
//! in the crates that they measure, `amortgap bench` makes a table and a figure of their results.

#[cfg(feature = "criterion")]
mod bench;
mod one_observation;
mod problem;
pub mod rate;
pub mod work;
mod worker_pool;
mod workload;

#[cfg(feature = "criterion")]
pub use bench::bench;
pub use rate::rate;
pub use work::{Method, Work};
pub use worker_pool::WorkerPool;
pub use workload::{Share, Workload};
