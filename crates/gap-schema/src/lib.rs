//! The contract: what an experiment is, what a run records, what other programs read. No libtorch.
//!
//! [`spec`] is what users write and what a run may rely on, [`experiment`] all that a file says, which
//! [`spec_file`] reads; [`record`] is one row of a run's results, [`parquet`] the table of them,
//! [`trace`] that of ascents on their way, [`calibration`] that of estimators held to known values,
//! [`picture`] that of posteriors and what stands for them, all by way of [`rows_file`]; [`results`] is the
//! folder with all of these, [`summary`] its `summary.json`.

pub mod calibration;
pub mod experiment;
mod family_params;
pub mod parquet;
pub mod picture;
pub mod record;
pub mod results;
pub mod rows_file;
pub mod spec;
pub mod spec_file;
pub mod summary;
pub mod trace;

pub use calibration::CalibrationRow;
pub use experiment::{Experiment, Problem};
pub use picture::PictureRow;
pub use record::{Record, SCHEMA_VERSION};
pub use spec::CheckedSpec;
pub use summary::Summary;
pub use trace::TracePoint;
