//! Turns the rows of a run into gaps, tables, figures and a page, without access to any model.
//!
//! [`summarize`] pairs rows by datapoint and takes their differences. It also computes what each ascent cost
//! until it stayed near the optimum, and checks the standard errors that estimators report.
//! [`main_results_text`] and [`render_report`] show the result. Each topic, from its analysis to its part of the
//! page, has a module of its own in `section`; the rest of the crate loops over these. [`render_benches`] makes
//! a report of what benches measured. Nothing here needs libtorch or reads a file of records, so a change to a
//! figure is tried out in seconds.

mod across_seeds;
mod benches;
mod columns;
mod content;
mod csv;
mod error;
mod figure;
mod format;
mod page;
mod paired_column;
mod pairing;
mod report;
mod section;
mod summarize;
mod table;
mod variant;

pub use benches::{BenchEstimate, BenchRow, bench_rows_plain_text, render_benches};
pub use content::ReportContent;
pub use error::RenderError;
pub use format::{Format, UnknownFormat};
pub use report::{main_results_text, render_report};
pub use summarize::summarize;
