//! From a checked spec to published results: plan, run, resume.
//!
//! [`plan`] turns a spec into stages whose names are digests of all that they depend on; [`run`]
//! carries them out through an [`run::Executor`] and keeps what is finished; [`execute`] is the
//! executor that computes; [`store`] is the folder of results, [`rows`] what is in it besides records.

mod costs;
pub mod execute;
pub mod plan;
pub mod provenance;
pub mod rows;
pub mod run;
pub mod store;

pub use costs::costs;
pub use execute::LibtorchExecutor;
pub use plan::{Plan, Stage, StageId};
pub use provenance::Provenance;
pub use rows::StageRow;
pub use run::{Executor, Observer, Outcome, RunError, RunReport};
pub use store::{Store, StoreError};
