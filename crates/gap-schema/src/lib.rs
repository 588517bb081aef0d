//! The format of results: what a run records and what other programs read. This crate has no libtorch. Specs,
//! and the terms that results share with them, are in [`gap_spec`].
//!
//! A [`record`] is one row of a run's results, and [`parquet`] reads and writes the table of them (its columns
//! are declared in `columns`; [`start_optima`] reads one of them). Other kinds of rows are in CSV files of
//! their own, which [`rows_file`] reads and writes: [`trace`] has the progress of ascents, [`calibration`] the
//! checks of standard errors against known values, and [`picture`] the grids that show posteriors. [`results`]
//! is the folder with all of these, and [`summary`] its `summary.json`.

pub mod calibration;
mod cell;
mod columns;
pub mod parquet;
mod parquet_claims;
mod parquet_frame;
pub mod picture;
pub mod record;
pub mod results;
pub mod rows_file;
pub mod start_optima;
pub mod summary;
mod sums;
pub mod trace;

pub use calibration::CalibrationRow;
pub use picture::PosteriorGridCellRow;
pub use record::{Record, SCHEMA_VERSION};
pub use rows_file::RowFile;
pub use summary::Summary;
pub use trace::TracePoint;
