//! What benches measured, as a table, a figure and files: a report of its own, with no section.
//!
//! Where the numbers were stored, and which of them are workloads, the caller knows.

mod figure;
mod row;
mod table;

pub use row::{BenchEstimate, BenchRow};

use crate::figure::Figure;
use crate::publish::{ReportError, publish_text, render_error};
use crate::table::layout;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The version of `bench.json`.
const BENCH_SCHEMA: u32 = 1;

/// The rows as aligned plain text, in their order.
pub fn bench_table(rows: &[BenchRow]) -> String {
    layout::plain_text(&table::bench_rows_table(rows))
}

/// Writes `bench.json`, `bench.csv`, `bench.md`, `throughput.svg` and `provenance.json` into the
/// folder `dir`, and gives their paths.
///
/// The folder is made if need be; each file appears whole or not at all.
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
        publish_text(path, &(text + "\n"))
    };
    let csv = dir.join("bench.csv");
    let csv_text = csv_text(rows).map_err(|e| render_error(&csv, &e))?;
    let svg = dir.join("throughput.svg");
    let svg_text = figure::throughput(rows)
        .svg()
        .map_err(|e| render_error(&svg, &e))?;
    Ok(vec![
        pretty(
            dir.join("bench.json"),
            &json!({"schema": BENCH_SCHEMA, "benches": rows}),
        )?,
        publish_text(csv, &csv_text)?,
        publish_text(
            dir.join("bench.md"),
            &layout::markdown(&table::bench_rows_table(rows)),
        )?,
        publish_text(svg, &svg_text)?,
        pretty(dir.join("provenance.json"), provenance)?,
    ])
}

fn csv_text(rows: &[BenchRow]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8(bytes).expect("its fields are text"))
}
