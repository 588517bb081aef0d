//! `amortgap run`: runs the experiment of a spec, and writes its results folder.

use super::arguments::RunArguments;
use super::progress::Progress;
use super::resume_command;
use crate::CommandResult;
use crate::console;
use crate::exit::{self, Failure};
use crate::report_command::write_report_of_folder;
use crate::signals::exit_on_interrupt_signals;
use gap_data::DataError;
use gap_harness::provenance::VariantProvenance;
use gap_harness::run::collect_records;
use gap_harness::{
    InputError, LibtorchExecutor, Plan, Provenance, RunReport, Store, costs, plan, rows,
};
use gap_report::Format;
use gap_schema::{CalibrationRow, PosteriorGridCellRow, RowFile, TracePoint, results};
use gap_spec::{Experiment, document};
use gap_torch::device::{DeviceName, set_one_thread_per_operation};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Runs the stages that are not finished, publishes the results, and prints where they are.
pub fn run_experiment(arguments: &RunArguments) -> CommandResult {
    exit::set_resume_command(resume_command::of_this_process());
    let experiment =
        document::read(&arguments.spec, &arguments.set).map_err(Failure::from_input_error)?;
    set_one_thread_per_operation();
    let jobs = n_parallel_stages(arguments);
    let mut provenance = Provenance::of_this_process(arguments.device, jobs);
    let (plans, executors) = plan_variants(&experiment, arguments, &mut provenance)?;

    let folder = arguments
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from("results").join(&experiment.name));
    let store = Store::open(&folder, &experiment.name).map_err(Failure::from_input_error)?;
    if arguments.fresh {
        store.delete_stages().map_err(Failure::from_run_error)?;
    }
    // The published spec must be equal too, since a change of a key that no stage depends on, such as
    // `question`, still has to be published.
    let same_spec = fs::read_to_string(folder.join(results::SPEC_FILE))
        .is_ok_and(|published| published == document::write(&experiment));
    if same_spec && store.is_finished(&plan::digest(&plans), &expected_result_files(&plans)) {
        return Ok(console::print_line(format_args!(
            "nothing to do: all {} stages of {} are finished in {} (--fresh runs them again)",
            plans.iter().map(|plan| plan.stages().len()).sum::<usize>(),
            experiment.name,
            folder.display()
        ))?);
    }

    exit_on_interrupt_signals();
    let progress = Progress::new_for_plans(&plans);
    let mut report = RunReport::default();
    // Variants run one after the other; a failure in one does not stop the next.
    for (plan, executor) in plans.iter().zip(&executors) {
        let observer = progress.for_variant(plan.variant());
        report += gap_harness::run::run(plan, &store, executor, &observer, jobs)
            .map_err(Failure::from_run_error)?;
    }
    if !report.is_complete() {
        return Err(incomplete_run_failure(&report));
    }
    publish_run(&experiment, &plans, &store, &provenance)
}

/// Makes the plan and the executor of each problem, and enters their seeds, data and plans into `provenance`.
///
/// Without `--data-dir`, a variant whose data does not come with the program is left out, and a line on stderr
/// says so. Thus users who lack a data set can still run the other variants of an experiment.
fn plan_variants(
    experiment: &Experiment,
    arguments: &RunArguments,
    provenance: &mut Provenance,
) -> Result<(Vec<Plan>, Vec<LibtorchExecutor>), Failure> {
    let environment = provenance.environment();
    let (mut plans, mut executors) = (Vec::new(), Vec::new());
    let (mut seeds, mut left_out) = (BTreeSet::new(), Vec::new());
    for problem in &experiment.problems {
        let data_dir = arguments.data_dir.as_deref();
        let executor = match LibtorchExecutor::prepare(&problem.spec, arguments.device, data_dir) {
            Ok(executor) => executor,
            Err(error @ InputError::Data(DataError::NoDataDir { .. })) => {
                let Some(variant) = &problem.variant else {
                    return Err(Failure::from_input_error(error));
                };
                left_out.push(format!("variant {variant} is left out: {error}"));
                provenance.skipped_variants.push(variant.clone());
                continue;
            }
            Err(error) => return Err(Failure::from_input_error(error)),
        };
        let plan = Plan::new(problem, &environment);
        let own_seeds = &problem.spec.seeds;
        seeds.extend(own_seeds);
        match &problem.variant {
            None => provenance.data_digest = executor.data_digest(),
            Some(variant) => {
                let of_variant = VariantProvenance {
                    seeds: own_seeds.clone(),
                    data_digest: executor.data_digest(),
                    plan: plan.digest(),
                };
                provenance.variants.insert(variant.clone(), of_variant);
            }
        }
        plans.push(plan);
        executors.push(executor);
    }
    if plans.is_empty() {
        let needy = provenance.skipped_variants.join(", ");
        return Err(Failure::Input(format!(
            "{}: the data of every variant ({needy}) lies in files; pass --data-dir with their folder",
            arguments.spec.display()
        )));
    }
    for line in left_out {
        console::notify(line);
    }
    provenance.seeds = seeds.into_iter().collect();
    provenance.plan = plan::digest(&plans);
    Ok((plans, executors))
}

/// The number of stages to run in parallel: on a GPU one by default, since stages would wait for each other.
fn n_parallel_stages(arguments: &RunArguments) -> usize {
    match (arguments.jobs, arguments.device) {
        (Some(jobs), _) => jobs.get(),
        (None, DeviceName::Cuda(_)) => 1,
        (None, DeviceName::Cpu) => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// The files that must be in the results folder for a run of `plans` to count as finished.
fn expected_result_files(plans: &[Plan]) -> Vec<&'static str> {
    let mut files = vec![
        results::RECORDS_FILE,
        results::SUMMARY_FILE,
        results::SPEC_FILE,
        results::PROVENANCE_FILE,
        results::PAGE_FILE,
    ];
    if rows::plans_leave_rows::<TracePoint>(plans) {
        files.push(TracePoint::FILE_NAME);
    }
    if rows::plans_leave_rows::<CalibrationRow>(plans) {
        files.push(CalibrationRow::FILE_NAME);
    }
    if rows::plans_leave_rows::<PosteriorGridCellRow>(plans) {
        files.push(PosteriorGridCellRow::FILE_NAME);
    }
    files
}

fn publish_run(
    experiment: &Experiment,
    plans: &[Plan],
    store: &Store,
    provenance: &Provenance,
) -> CommandResult {
    let records = collect_records(plans, store).map_err(Failure::from_run_error)?;
    let trace: Vec<TracePoint> =
        rows::collect_rows(plans, store).map_err(Failure::from_run_error)?;
    let calibration: Vec<CalibrationRow> =
        rows::collect_rows(plans, store).map_err(Failure::from_run_error)?;
    let pictures: Vec<PosteriorGridCellRow> =
        rows::collect_rows(plans, store).map_err(Failure::from_run_error)?;
    store.unmark_finished().map_err(Failure::from_run_error)?;
    let json = serde_json::to_string_pretty(provenance).expect("provenance is plain data");
    store
        .publish_text(results::SPEC_FILE, document::write(experiment))
        .map_err(Failure::from_run_error)?;
    store
        .publish_text(results::PROVENANCE_FILE, &json)
        .map_err(Failure::from_run_error)?;
    store
        .publish_records(&records, &json)
        .map_err(Failure::from_run_error)?;
    store
        .publish_rows(&trace)
        .map_err(Failure::from_run_error)?;
    store
        .publish_rows(&calibration)
        .map_err(Failure::from_run_error)?;
    store
        .publish_rows(&pictures)
        .map_err(Failure::from_run_error)?;
    let costs = serde_json::to_string_pretty(&costs(plans, store)).expect("costs are plain data");
    store
        .publish_text(results::COSTS_FILE, &costs)
        .map_err(Failure::from_run_error)?;
    let formats = [Format::Html, Format::Svg, Format::Png, Format::Json];
    let table = write_report_of_folder(store.folder(), store.folder(), &formats)?;
    store
        .mark_finished(&plan::digest(plans))
        .map_err(Failure::from_run_error)?;
    let page = store.folder().join("report.html");
    console::print_line(format_args!("{table}\nreport: {}", page.display())).map_err(|error| {
        let folder = store.folder().display();
        Failure::Output(format!("{error}; the results are in {folder}"))
    })
}

fn incomplete_run_failure(report: &RunReport) -> Failure {
    let reasons: Vec<String> = report
        .failed
        .iter()
        .map(|(title, message)| format!("{title}: {message}"))
        .collect();
    Failure::Run(format!(
        "{} stages failed and {} were skipped ({}); {} are kept",
        report.failed.len(),
        report.skipped,
        reasons.join("; "),
        report.done + report.cached,
    ))
}
