//! The contract: what an experiment is, what a run records, what other programs read. No libtorch.
//!
//! [`spec`] is what users write and what a run may rely on; [`record`] is one row of a run's
//! results, [`parquet`] the table of them; [`summary`] is `summary.json`.

pub mod parquet;
pub mod record;
pub mod spec;
pub mod spec_file;
pub mod summary;

pub use record::{Record, SCHEMA_VERSION};
pub use spec::CheckedSpec;
pub use summary::Summary;
