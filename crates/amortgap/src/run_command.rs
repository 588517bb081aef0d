//! `amortgap run`: from a spec to a folder of results.

use crate::CommandResult;
use crate::arguments::RunArguments;
use crate::exit::{Failure, stop_when_interrupted};
use crate::progress::Progress;
use crate::report_command::{RESULT_FILES, publish};
use gap_harness::run::collect;
use gap_harness::{LibtorchExecutor, Plan, Provenance, RunReport, Store};
use gap_report::Format;
use gap_schema::{CheckedSpec, spec_file};
use gap_torch::device::{DeviceName, one_thread_per_operation};
use std::fs;
use std::path::PathBuf;

/// Runs what is not finished, publishes the results, and says where they are.
pub fn run(arguments: &RunArguments) -> CommandResult {
    let spec = spec_file::read(&arguments.spec, &arguments.set).map_err(Failure::input)?;
    one_thread_per_operation();
    let executor =
        LibtorchExecutor::prepare(&spec, arguments.device, arguments.data_dir.as_deref())
            .map_err(Failure::input)?;
    let jobs = jobs(arguments);
    let mut provenance = Provenance::here(arguments.device, jobs);
    let plan = Plan::of(&spec, &provenance.environment());
    provenance.seeds.clone_from(spec.seeds.get_ref());
    provenance.data_digest = executor.data_digest();
    provenance.plan = plan.digest();

    let folder = arguments
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from("results").join(spec.name.get_ref()));
    let store = Store::open(&folder, spec.name.get_ref()).map_err(Failure::input)?;
    if arguments.fresh {
        store.forget_stages().map_err(Failure::run)?;
    }
    // A key that no stage depends on, as the question, is published all the same.
    let same_spec = fs::read_to_string(folder.join("spec.toml"))
        .is_ok_and(|published| published == spec_file::write(&spec));
    if same_spec && store.is_finished(&plan, &RESULT_FILES) {
        println!(
            "nothing to do: all {} stages of {} are finished in {} (--fresh runs them again)",
            plan.stages().len(),
            spec.name.get_ref(),
            folder.display()
        );
        return Ok(());
    }

    stop_when_interrupted();
    let report = gap_harness::run::run(&plan, &store, &executor, &Progress::of(&plan), jobs)
        .map_err(Failure::run)?;
    if !report.is_complete() {
        return Err(incomplete(&report, arguments));
    }
    publish_run(&spec, &plan, &store, &provenance)
}

/// Stages at a time: a GPU takes one, since they would wait for each other on it.
fn jobs(arguments: &RunArguments) -> usize {
    match (arguments.jobs, arguments.device) {
        (Some(jobs), _) => jobs.get(),
        (None, DeviceName::Cuda(_)) => 1,
        (None, DeviceName::Cpu) => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

fn publish_run(
    spec: &CheckedSpec,
    plan: &Plan,
    store: &Store,
    provenance: &Provenance,
) -> CommandResult {
    let records = collect(plan, store).map_err(Failure::run)?;
    store.unmark_finished().map_err(Failure::run)?;
    let json = serde_json::to_string_pretty(provenance).expect("provenance is plain data");
    store
        .publish_text("spec.toml", &spec_file::write(spec))
        .map_err(Failure::run)?;
    store
        .publish_text("provenance.json", &json)
        .map_err(Failure::run)?;
    store
        .publish_records(&records, &json)
        .map_err(Failure::run)?;
    let formats = [Format::Html, Format::Svg, Format::Png, Format::Json];
    let table = publish(store.folder(), store.folder(), &formats)?;
    store.mark_finished(plan).map_err(Failure::run)?;
    println!("{table}");
    println!("report: {}", store.folder().join("report.html").display());
    Ok(())
}

fn incomplete(report: &RunReport, arguments: &RunArguments) -> Failure {
    let reasons: Vec<String> = report
        .failed
        .iter()
        .map(|(title, message)| format!("{title}: {message}"))
        .collect();
    Failure::Run(format!(
        "{} stages failed and {} were skipped ({}); {} are kept, and `amortgap run {}` goes on from them",
        report.failed.len(),
        report.skipped,
        reasons.join("; "),
        report.done + report.cached,
        arguments.spec.display(),
    ))
}
