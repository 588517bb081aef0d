//! A report of what benches measured: a table, a figure and files. It is not a section of an experiment's
//! report.
//!
//! The caller finds the measurements, and says which of them are workloads.

mod figure;
mod row;
mod table;

pub use row::{BenchEstimate, BenchRow};

use crate::csv::{csv_document, flatten_to_csv_row};
use crate::error::{RenderError, render_error};
use crate::figure::Figure;
use crate::table::layout;
use serde_json::json;
use std::collections::BTreeMap;

/// The version of `bench.json`.
const BENCH_JSON_SCHEMA_VERSION: u32 = 1;

/// Returns the rows as aligned plain text, in their order.
pub fn bench_rows_plain_text(rows: &[BenchRow]) -> String {
    layout::plain_text(&table::bench_rows_table(rows))
}

/// Renders `bench.json`, `bench.csv`, `bench.md` and `throughput.svg`, and returns their contents by name.
///
/// # Errors
///
/// [`RenderError`] with the name of the first file that cannot be rendered.
pub fn render_benches(rows: &[BenchRow]) -> Result<BTreeMap<String, Vec<u8>>, RenderError> {
    let (json, csv, svg) = ("bench.json", "bench.csv", "throughput.svg");
    let document = json!({"schema": BENCH_JSON_SCHEMA_VERSION, "benches": rows});
    let document = serde_json::to_string_pretty(&document).map_err(render_error(json))?;
    let table = layout::markdown(&table::bench_rows_table(rows));
    let figure = figure::throughput_chart(rows).to_svg();
    let files = [
        (json, document + "\n"),
        (csv, bench_rows_csv(rows).map_err(render_error(csv))?),
        ("bench.md", table),
        (svg, figure.map_err(render_error(svg))?),
    ];
    let files = files.into_iter();
    Ok(files
        .map(|(name, text)| (name.to_owned(), text.into_bytes()))
        .collect())
}

fn bench_rows_csv(rows: &[BenchRow]) -> Result<String, serde_json::Error> {
    let rows: Result<Vec<_>, _> = rows.iter().map(flatten_to_csv_row).collect();
    Ok(csv_document(&rows?))
}
