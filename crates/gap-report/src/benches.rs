//! A report of what benches measured: a table, a figure and files. It is not a section of an experiment's
//! report.
//!
//! The caller finds the measurements, and says which of them are workloads.

mod figure;
mod row;
mod table;

pub use row::{BenchEstimate, BenchRow};

use crate::csv::{csv_document, flatten_to_csv_row};
use crate::figure::Figure;
use crate::publish::{ReportError, render_error, write_text_atomically};
use crate::table::layout;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The version of `bench.json`.
const BENCH_JSON_SCHEMA_VERSION: u32 = 1;

/// Returns the rows as aligned plain text, in their order.
pub fn bench_rows_plain_text(rows: &[BenchRow]) -> String {
    layout::plain_text(&table::bench_rows_table(rows))
}

/// Writes `bench.json`, `bench.csv`, `bench.md`, `throughput.svg` and `provenance.json` into the folder `dir`,
/// and returns their paths.
///
/// The folder is created if it does not exist; each file appears whole or not at all.
///
/// # Errors
///
/// [`ReportError`] with the path of the first file that failed; files before it have been written.
pub fn write_benches(
    dir: &Path,
    rows: &[BenchRow],
    provenance: &Value,
) -> Result<Vec<PathBuf>, ReportError> {
    let pretty = |path: PathBuf, value: &Value| {
        let text = serde_json::to_string_pretty(value).map_err(|e| render_error(&path, &e))?;
        write_text_atomically(path, &(text + "\n"))
    };
    let csv = dir.join("bench.csv");
    let csv_text = bench_rows_csv(rows).map_err(|e| render_error(&csv, &e))?;
    let svg = dir.join("throughput.svg");
    let svg_text = figure::throughput_chart(rows)
        .to_svg()
        .map_err(|e| render_error(&svg, &e))?;
    Ok(vec![
        pretty(
            dir.join("bench.json"),
            &json!({"schema": BENCH_JSON_SCHEMA_VERSION, "benches": rows}),
        )?,
        write_text_atomically(csv, &csv_text)?,
        write_text_atomically(
            dir.join("bench.md"),
            &layout::markdown(&table::bench_rows_table(rows)),
        )?,
        write_text_atomically(svg, &svg_text)?,
        pretty(dir.join("provenance.json"), provenance)?,
    ])
}

fn bench_rows_csv(rows: &[BenchRow]) -> Result<String, serde_json::Error> {
    let rows: Result<Vec<_>, _> = rows.iter().map(flatten_to_csv_row).collect();
    Ok(csv_document(&rows?))
}
