//! `amortgap bench`: makes a table and a figure of benchmark results.

use super::arguments::BenchArguments;
use super::criterion_results;
use crate::CommandResult;
use crate::console;
use crate::exit::Failure;
use crate::report_command::notify_of_kept_files;
use gap_harness::Provenance;
use gap_report::{bench_rows_plain_text, render_benches};
use gap_store::published::{self, Extent, Publication};
use gap_torch::device::DeviceName;
use serde_json::{Map, Value};

/// The keys of a provenance that belong to a run's plan and data, which benchmarks do not have.
const RUN_ONLY_PROVENANCE_KEYS: [&str; 4] = ["jobs", "seeds", "data_digest", "plan"];

/// Prints the table, and writes the table and the figure to the folder of `--out`.
pub fn report_criterion_benches(arguments: &BenchArguments) -> CommandResult {
    let rows = criterion_results::read_bench_rows(&arguments.criterion)?;
    let files = render_benches(&rows).map_err(Failure::from_run_error)?;
    let written = files.keys().map(|name| arguments.out.join(name));
    let written: Vec<String> = written.map(|path| path.display().to_string()).collect();
    let publication = Publication {
        files,
        manifest: bench_provenance(),
        // Times are measured only once.
        is_same: &|_, _| false,
        extent: Extent::Whole,
    };
    let all_kept = published::publish(&arguments.out, &publication);
    let all_kept = all_kept.map_err(Failure::from_store_error)?;
    notify_of_kept_files(&all_kept, |_| "they were measured before".to_owned());
    console::print_line(bench_rows_plain_text(&rows))?;
    let written = written.join(", ");
    Ok(console::print_line(format_args!("written: {written}"))?)
}

fn bench_provenance() -> Map<String, Value> {
    let mut entries = Provenance::of_this_process(DeviceName::Cpu, 1).to_map();
    entries.retain(|key, _| !RUN_ONLY_PROVENANCE_KEYS.contains(&key.as_str()));
    entries
}
