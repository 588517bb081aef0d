//! From records to gaps, tables, figures and a page. Never sees a model.
//!
//! [`summarize`] pairs rows by datapoint and takes their differences, finds when ascents arrived and
//! whether reported errors are true; [`text_table`] and [`write_report`] show the result.
//! [`write_benches`] does the same for what benches measured. Nothing here reads libtorch or a file of
//! records, so a figure is fixed in seconds.

mod across_seeds;
mod ascents;
mod benches;
mod calibration;
mod columns;
mod csv;
mod decomposition;
mod evidence;
mod figure;
mod nesting;
mod page;
mod paired_column;
mod pairing;
mod reading;
mod report;
mod sandwich;
mod table;
mod variant;

pub use benches::{BenchEstimate, BenchRow, bench_table, write_benches};
pub use decomposition::summarize;
pub use report::{Format, ReportContent, ReportError, UnknownFormat, write_report};
pub use table::text_table;
