//! From rows to gaps, tables, figures and a page. Never sees a model.
//!
//! [`summarize`] pairs rows by datapoint and takes their differences, finds when ascents arrived and
//! whether reported errors are true; [`main_results_text`] and [`write_report`] show the result. What there is
//! on one topic, from the analysis to the page, is in one folder of `section`; all else loops over
//! these. [`write_benches`] does the same for what benches measured. Nothing here reads libtorch or a
//! file of records, so a figure is fixed in seconds.

mod across_seeds;
mod benches;
mod columns;
mod content;
mod csv;
mod figure;
mod format;
mod page;
mod paired_column;
mod pairing;
mod publish;
mod report;
mod section;
mod summarize;
mod table;
mod variant;

pub use benches::{BenchEstimate, BenchRow, bench_rows_plain_text, write_benches};
pub use content::ReportContent;
pub use format::{Format, UnknownFormat};
pub use publish::ReportError;
pub use report::{main_results_text, write_report};
pub use summarize::summarize;
