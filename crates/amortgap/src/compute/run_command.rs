//! `amortgap run`: runs the experiment of a spec, and writes its results folder.

use super::arguments::RunArguments;
use super::plan_command::{plan_too_large, stored_models};
use super::progress::Progress;
use super::resume_command;
use crate::CommandResult;
use crate::console;
use crate::exit::{self, Failure};
use crate::report_command::{notify_of_kept_files, render_results};
use crate::signals::exit_on_interrupt_signals;
use gap_data::DataError;
use gap_harness::provenance::VariantProvenance;
use gap_harness::run::collect_records;
use gap_harness::{
    InputError, LibtorchExecutor, Plan, PlanSize, Provenance, RunError, RunReport, costs,
    machine_memory, plan, rows,
};
use gap_report::Format;
use gap_schema::results::{self, ResultRows};
use gap_spec::{Experiment, document};
use gap_store::published::{self, Extent, Publication, Published};
use gap_store::{FileDigest, FileDigests, Store, StoreError};
use gap_torch::device::{DeviceName, set_one_thread_per_operation};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs the stages that are not finished, publishes the results, and prints where they are.
pub fn run_experiment(arguments: &RunArguments) -> CommandResult {
    exit::set_resume_command(resume_command::of_this_process());
    let experiment =
        document::read(&arguments.spec, &arguments.set).map_err(Failure::from_input_error)?;
    set_one_thread_per_operation();
    let jobs = n_parallel_stages(arguments);
    let mut provenance = Provenance::of_this_process(arguments.device, jobs);
    let (plans, executors) = plan_variants(&experiment, arguments, &mut provenance)?;
    // More workers than a plan has stages would have nothing to do.
    let most_stages = plans.iter().map(|plan| plan.stages().len()).max();
    let jobs = jobs.min(most_stages.unwrap_or(1));
    provenance.jobs = jobs;

    let folder = arguments
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from("results").join(&experiment.name));
    let (store, notices) = Store::open(&folder, &experiment.name).map_err(store_failure)?;
    for notice in notices {
        console::notify(notice);
    }
    if arguments.fresh {
        forget_stages(&store).map_err(store_failure)?;
    }
    let question = Question {
        plan: plan::digest(&plans),
        spec: FileDigest::of(document::write(&experiment).as_bytes()),
    };
    if !arguments.fresh && is_published(&folder, &question) {
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
    // Variants run one after the other; a failure in one does not stop the next, unless nothing can be kept.
    for (plan, executor) in plans.iter().zip(&executors) {
        if report.has_stopped {
            report.not_started += plan.stages().len();
            continue;
        }
        let observer = progress.for_variant(plan.variant());
        report += gap_harness::run::run(plan, &store, executor, &observer, jobs)
            .map_err(Failure::from_run_error)?;
    }
    if !report.is_complete() {
        return Err(incomplete_run_failure(&report));
    }
    publish_run(&experiment, &plans, &store, &provenance, &question)
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
    let mut size = PlanSize::new(available_bytes_on(arguments.device));
    let given = stored_models(arguments.models.as_deref(), experiment, &environment)?;
    let interval = Duration::from_secs(arguments.checkpoint_seconds.into());
    for problem in &experiment.problems {
        let stored = given
            .with_weights_of(&problem.spec, &arguments.spec)
            .map_err(Failure::from_input_error)?;
        let data_dir = arguments.data_dir.as_deref();
        let executor = match LibtorchExecutor::prepare(&problem.spec, arguments.device, data_dir) {
            Ok(executor) => executor
                .with_checkpoint_interval(interval)
                .with_stored_models(stored.clone()),
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
        size.add_problem(problem)
            .map_err(|error| plan_too_large(&arguments.spec, &error))?;
        let plan = Plan::new(problem, &environment, &stored);
        executor
            .check_stored_models(&plan)
            .map_err(Failure::from_input_error)?;
        let taken = plan.stored_models();
        let own_seeds = &problem.spec.seeds;
        seeds.extend(own_seeds);
        match &problem.variant {
            None => {
                provenance.data_digest = executor.data_digest();
                provenance.stored_models = taken;
            }
            Some(variant) => {
                let of_variant = VariantProvenance {
                    seeds: own_seeds.clone(),
                    data_digest: executor.data_digest(),
                    plan: plan.digest(),
                    stored_models: taken,
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

/// The memory that stages on `device` may use, if it is known. A GPU has memory of its own, whose size is not
/// asked for; none has more than is added here.
fn available_bytes_on(device: DeviceName) -> Option<u64> {
    const MAX_GPU_BYTES: u64 = 1 << 40;
    let bytes = machine_memory::available_bytes()?;
    Some(match device {
        DeviceName::Cpu => bytes,
        DeviceName::Cuda(_) => bytes.saturating_add(MAX_GPU_BYTES),
    })
}

/// The number of stages to run in parallel: on a GPU one by default, since stages would wait for each other.
fn n_parallel_stages(arguments: &RunArguments) -> usize {
    match (arguments.jobs, arguments.device) {
        (Some(jobs), _) => jobs.get(),
        (None, DeviceName::Cuda(_)) => 1,
        (None, DeviceName::Cpu) => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// What published results answer: two runs with the same plan and spec find the same.
struct Question {
    /// A digest of the plans.
    plan: String,
    /// The digest of `spec.toml`. A key that no stage depends on, such as `question`, is published all the
    /// same.
    spec: FileDigest,
}

impl Question {
    /// Whether the results that `manifest` and `files` describe answer this question.
    fn is_of(&self, manifest: &Map<String, Value>, files: &FileDigests) -> bool {
        manifest.get("plan").and_then(Value::as_str) == Some(&self.plan)
            && files.0.get(results::SPEC_FILE) == Some(&self.spec)
    }
}

/// Whether the answer to `question` is published in `folder`, and every file is as it was written. A line on
/// stderr names each file that is not.
fn is_published(folder: &Path, question: &Question) -> bool {
    match published::read(folder) {
        Published::WithDigests {
            manifest,
            files,
            faults,
        } if question.is_of(&manifest, &files) => {
            for fault in &faults {
                console::notify(format_args!("{fault}; the results are published again"));
            }
            faults.is_empty()
        }
        Published::DamagedManifest(fault) => {
            console::notify(format_args!("{fault}; the results are published again"));
            false
        }
        _ => false,
    }
}

fn forget_stages(store: &Store) -> Result<(), StoreError> {
    store.exclude_other_runs()?;
    store.remove_stages(|_| false)?;
    store.admit_other_runs()
}

/// A full disk stops a run; anything else that is wrong with the folder is the user's to mend.
fn store_failure(error: StoreError) -> Failure {
    if error.is_lack_of_room() {
        Failure::from_run_error(error)
    } else {
        Failure::from_input_error(error)
    }
}

/// Publishes the results of finished stages, and prints the main ones.
fn publish_run(
    experiment: &Experiment,
    plans: &[Plan],
    store: &Store,
    provenance: &Provenance,
    question: &Question,
) -> CommandResult {
    let read = || -> Result<ResultRows, RunError> {
        Ok(ResultRows {
            records: collect_records(plans, store)?,
            trace: rows::collect_rows(plans, store)?,
            calibration: rows::collect_rows(plans, store)?,
            pictures: rows::collect_rows(plans, store)?,
        })
    };
    let rows = read().map_err(Failure::from_run_error)?;
    let costs = costs(plans, store).map_err(Failure::from_run_error)?;
    let mut manifest = provenance.to_map();
    let numbers = rows.digest_of_numbers();
    manifest.insert("numbers".to_owned(), numbers.clone().into());
    let provenance = Value::Object(manifest.clone());
    let footer = provenance.to_string();
    let mut files = rows.to_files(&footer).map_err(Failure::from_run_error)?;
    let spec = document::write(experiment).as_bytes().to_vec();
    files.insert(results::SPEC_FILE.to_owned(), spec);
    let json = serde_json::to_string_pretty(&costs).expect("costs are plain data");
    files.insert(results::COSTS_FILE.to_owned(), json.into_bytes());
    let formats = [Format::Html, Format::Svg, Format::Png, Format::Json];
    let report = render_results(experiment, &rows, &provenance, costs, &formats)?;
    files.extend(report.files);

    let folder = store.folder();
    let publication = Publication {
        files,
        manifest,
        is_same: &|manifest, files| question.is_of(manifest, files),
        extent: Extent::Whole,
    };
    let all_kept = published::publish(folder, &publication).map_err(Failure::from_store_error)?;
    notify_of_kept_files(&all_kept, |earlier| difference_from(earlier, experiment));
    let page = folder.join(results::PAGE_FILE);
    let last = format!(
        "{}\nnumbers: {numbers}\nreport: {}",
        report.text,
        page.display()
    );
    console::print_line(last).map_err(|error| {
        let folder = folder.display();
        Failure::Output(format!("{error}; the results are in {folder}"))
    })
}

/// What is different about the results in `earlier`.
fn difference_from(earlier: &Path, experiment: &Experiment) -> String {
    let spec = match published::read(earlier) {
        Published::WithDigests { files, .. } => files.read(earlier, results::SPEC_FILE).ok(),
        _ => None,
    };
    let Some(spec) = spec else {
        return "files were changed since they were published".to_owned();
    };
    let spec = String::from_utf8_lossy(&spec);
    match &document::differences(&spec, document::write(experiment))[..] {
        [] => "another program or another machine made them".to_owned(),
        differences => differences.join("; "),
    }
}

fn incomplete_run_failure(report: &RunReport) -> Failure {
    let reasons: Vec<String> = report
        .failed
        .iter()
        .map(|(title, message)| format!("{title}: {message}"))
        .collect();
    Failure::Run(format!(
        "{} stages failed and {} were skipped{} ({}); {} are kept",
        report.failed.len(),
        report.skipped,
        if report.not_started > 0 {
            format!(", {} were not started", report.not_started)
        } else {
            String::new()
        },
        reasons.join("; "),
        report.done + report.cached,
    ))
}
