//! `amortgap bench`: makes a table and a figure of benchmark results.

use super::arguments::BenchArguments;
use super::criterion_results;
use crate::CommandResult;
use crate::console;
use crate::exit::Failure;
use gap_harness::Provenance;
use gap_report::{bench_rows_plain_text, write_benches};
use gap_torch::device::DeviceName;
use serde_json::Value;

/// The keys of a provenance that belong to a run's plan and data, which benchmarks do not have.
const RUN_ONLY_PROVENANCE_KEYS: [&str; 4] = ["jobs", "seeds", "data_digest", "plan"];

/// Prints the table, and writes the table and the figure to the folder of `--out`.
pub fn report_criterion_benches(arguments: &BenchArguments) -> CommandResult {
    let rows = criterion_results::read_bench_rows(&arguments.criterion)?;
    let files = write_benches(&arguments.out, &rows, &bench_provenance())
        .map_err(Failure::from_run_error)?;
    let files = files.iter().map(|file| file.display().to_string());
    let files = files.collect::<Vec<_>>().join(", ");
    console::print_line(bench_rows_plain_text(&rows))?;
    Ok(console::print_line(format_args!("written: {files}"))?)
}

fn bench_provenance() -> Value {
    let here = Provenance::of_this_process(DeviceName::Cpu, 1);
    let mut value = serde_json::to_value(here).expect("provenance is plain data");
    if let Value::Object(entries) = &mut value {
        entries.retain(|key, _| !RUN_ONLY_PROVENANCE_KEYS.contains(&key.as_str()));
    }
    value
}
