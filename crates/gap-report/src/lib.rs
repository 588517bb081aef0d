//! From records to gaps, tables, figures and a page. Never sees a model.
//!
//! [`summarize`] pairs rows by datapoint and takes their differences, and finds when ascents arrived; [`text_table`] and
//! [`write_report`] show the result. [`write_benches`] does the same for what benches measured. Nothing here reads libtorch or a file of records, so a figure
//! is fixed in seconds.

mod across_seeds;
mod ascents;
mod benches;
mod csv;
mod decomposition;
mod figure;
mod page;
mod paired_column;
mod pairing;
mod report;
mod table;
mod variant;

pub use benches::{BenchEstimate, BenchRow, bench_table, write_benches};
pub use decomposition::summarize;
pub use report::{Format, ReportContent, ReportError, UnknownFormat, write_report};
pub use table::text_table;
