//! What benches measured, as a table, a figure and files.
//!
//! Where the numbers were stored, and which of them are workloads, the caller knows.

use crate::figure;
use crate::report::{ReportError, publish_text, unrendered};
use crate::table::{self, layout};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The version of `bench.json`.
const BENCH_SCHEMA: u32 = 1;

/// The throughput that one bench measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchRow {
    /// What was run: the name of a workload, or the path of another bench.
    pub work: String,
    /// Whether it is a workload; those alone are in the figure.
    pub workload: bool,
    /// What is counted, as in `steps/s`.
    pub unit: String,
    /// How many of them a second, positive.
    pub per_second: f64,
    /// The lower end of its confidence interval.
    pub low_per_second: f64,
    /// The upper end.
    pub high_per_second: f64,
    /// The level of the interval, as in 0.95.
    pub confidence_level: f64,
    /// Which estimate of the time it is from.
    pub estimate: BenchEstimate,
    /// When it was measured: date and time, UTC, as RFC 3339 has it.
    pub measured: String,
}

/// What a time is estimated by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BenchEstimate {
    /// The slope of time over runs, where samples have different numbers of runs.
    Slope,
    /// The mean over samples.
    Mean,
}

impl BenchEstimate {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Slope => "slope",
            Self::Mean => "mean",
        }
    }
}

/// The rows as aligned plain text, in their order.
pub fn bench_table(rows: &[BenchRow]) -> String {
    layout::plain_text(&table::benches(rows))
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
        let text = serde_json::to_string_pretty(value).map_err(|e| unrendered(&path, &e))?;
        publish_text(path, &(text + "\n"))
    };
    let csv = dir.join("bench.csv");
    let csv_text = csv_text(rows).map_err(|e| unrendered(&csv, &e))?;
    let svg = dir.join("throughput.svg");
    let svg_text = figure::svg(&figure::throughput(rows)).map_err(|e| unrendered(&svg, &e))?;
    Ok(vec![
        pretty(
            dir.join("bench.json"),
            &json!({"schema": BENCH_SCHEMA, "benches": rows}),
        )?,
        publish_text(csv, &csv_text)?,
        publish_text(
            dir.join("bench.md"),
            &layout::markdown(&table::benches(rows)),
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
