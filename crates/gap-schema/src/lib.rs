//! The contract: what a run records and what other programs read. No libtorch. What may be asked, and the
//! words for it, are in [`gap_spec`].
//!
//! [`record`] is one row of a run's results, [`parquet`] the table of them
//! (its columns are declared in `columns`),
//! [`trace`] that of ascents on their way, [`calibration`] that of estimators held to known values,
//! [`picture`] that of posteriors and what stands for them, all by way of [`rows_file`]; [`results`] is the
//! folder with all of these, [`summary`] its `summary.json`.

pub mod calibration;
mod cell;
mod columns;
pub mod parquet;
pub mod picture;
pub mod record;
pub mod results;
pub mod rows_file;
pub mod summary;
pub mod trace;

pub use calibration::CalibrationRow;
pub use picture::PosteriorGridCellRow;
pub use record::{Record, SCHEMA_VERSION};
pub use rows_file::RowFile;
pub use summary::Summary;
pub use trace::TracePoint;
