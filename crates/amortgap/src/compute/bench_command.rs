//! `amortgap bench`: makes a table and a figure of benchmark results.

use super::arguments::BenchArguments;
use super::criterion_results;
use crate::CommandResult;
use crate::console;
use crate::exit::Failure;
use gap_harness::Provenance;
use gap_report::{bench_rows_plain_text, render_benches};
use gap_store::FileDigests;
use gap_store::published::{self, Publication};
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
        unchanged: FileDigests::default(),
        manifest: bench_provenance(),
        is_same: true,
    };
    let earlier = published::publish(&arguments.out, &publication);
    if let Some(earlier) = earlier.map_err(Failure::from_run_error)? {
        console::notify(format_args!(
            "files that were changed are kept in {}",
            earlier.display()
        ));
    }
    console::print_line(bench_rows_plain_text(&rows))?;
    let written = written.join(", ");
    Ok(console::print_line(format_args!("written: {written}"))?)
}

fn bench_provenance() -> Map<String, Value> {
    let mut entries = Provenance::of_this_process(DeviceName::Cpu, 1).to_map();
    entries.retain(|key, _| !RUN_ONLY_PROVENANCE_KEYS.contains(&key.as_str()));
    entries
}
