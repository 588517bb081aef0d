//! From a checked spec to published results: plan, run, resume.
//!
//! [`plan`] turns a spec into stages, each a [`work`] whose name is a digest of all that it depends on; [`run`]
//! carries them out through an [`run::Executor`] and keeps what is finished; [`executor`] is the one that
//! computes, and `context` what it gives to each work. [`store`] is the folder of results, [`rows`] what is in
//! it besides records.

mod annealing;
mod chunk;
mod context;
mod costs;
mod encoders;
mod error;
pub mod executor;
mod json_file;
mod measure;
mod models;
mod observations;
pub mod plan;
pub mod provenance;
pub mod rows;
pub mod run;
mod stage_id;
mod starts;
pub mod store;
pub mod work;

pub use chunk::Chunk;
pub use costs::costs;
pub use error::RunError;
pub use executor::LibtorchExecutor;
pub use observations::InputError;
pub use plan::Plan;
pub use provenance::Provenance;
pub use run::{Executor, Observer, Outcome, RunReport};
pub use stage_id::{Environment, StageId};
pub use store::{Store, StoreError};
pub use work::Stage;
