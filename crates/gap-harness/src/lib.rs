//! Turns a checked spec into published results: plans, runs and resumes an experiment.
//!
//! [`plan`] turns a spec into stages. Each stage is a piece of [`work`], and its name is a digest of all that
//! its numbers depend on. [`run`] executes the stages through a [`run::Executor`] and keeps those that are
//! finished. [`executor`] has the executor that computes with libtorch, and `context` has what it passes to
//! each piece of work. [`plan::size`] refuses plans that are too large for the memory that [`machine_memory`]
//! finds. The results folder is a [`gap_store::Store`]; [`stage_results`] has what every stage leaves there, and
//! [`rows`] collects its rows of other kinds than records.

mod annealing;
mod checkpoints;
mod chunk;
mod context;
mod costs;
mod encoders;
mod error;
pub mod executor;
mod json_file;
pub mod machine_memory;
mod measure;
mod models;
mod observations;
pub mod own_model;
pub mod plan;
pub mod provenance;
pub mod rows;
pub mod run;
mod search_checkpoint;
mod stage_id;
pub mod stage_results;
mod starts;
pub mod stored_models;
pub mod work;

pub use chunk::Chunk;
pub use costs::costs;
pub use error::RunError;
pub use executor::LibtorchExecutor;
pub use observations::InputError;
pub use plan::Plan;
pub use plan::size::{PlanSize, PlanTooLarge};
pub use provenance::Provenance;
pub use run::{Executor, Observer, Outcome, RunReport};
pub use stage_id::{Environment, StageId};
pub use work::Stage;
