//! `amortgap clean`: removes stages that the spec in a folder of results does not need.

use super::arguments::CleanArguments;
use crate::CommandResult;
use crate::console;
use crate::exit::Failure;
use crate::report_command::notify_of_finished;
use gap_harness::stored_models::StoredModels;
use gap_harness::{Plan, Provenance};
use gap_schema::results::SPEC_FILE;
use gap_spec::{Experiment, document};
use gap_store::Store;
use gap_store::published::{self, Published};
use gap_torch::device::DeviceName;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::Path;

/// Removes the stages that are not needed, and prints how much room that makes.
pub fn remove_unneeded_stages(arguments: &CleanArguments) -> CommandResult {
    let folder = &arguments.folder;
    // The published spec is that of a publication that was interrupted only once that is finished.
    let finished = published::finish_interrupted(folder).map_err(Failure::from_store_error)?;
    let (experiment, _) = published_experiment(folder)?;
    if let Some(kept) = finished {
        notify_of_finished(folder, kept);
    }
    let (store, notices) =
        Store::open(folder, &experiment.name).map_err(Failure::from_input_error)?;
    notices.into_iter().for_each(console::notify);
    store
        .exclude_other_runs()
        .map_err(Failure::from_input_error)?;
    // Read again, since a publication that was interrupted is finished only now, and no run is at work.
    let (experiment, manifest) = published_experiment(folder)?;
    let text = |key: &str| {
        manifest
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let device: DeviceName = text("device")
        .parse()
        .map_err(|error| Failure::Input(format!("{}: {error}", folder.display())))?;
    let here = Provenance::of_this_process(device, 1);
    let environment = here.environment();
    // Stages are named by all of these.
    let is_own = text("source") == here.source
        && text("math") == here.math
        && text("kernels") == here.kernels;
    if !arguments.other_programs && !is_own {
        return Err(Failure::Input(format!(
            "{}: another program (commit {}), or this one with other instructions, made these stages, and none of them is needed here; pass --other-programs to remove them all",
            folder.display(),
            text("commit")
        )));
    }
    let provenance: Provenance = serde_json::from_value(Value::Object(manifest.clone()))
        .map_err(|error| Failure::Input(format!("{}: {error}", folder.display())))?;
    let taken_by = |variant: Option<&String>| match variant {
        None => Some(&provenance.stored_models),
        Some(variant) => Some(&provenance.variants.get(variant)?.stored_models),
    };
    let needed: BTreeSet<String> = experiment
        .problems
        .iter()
        .map(|problem| {
            let taken = taken_by(problem.variant.as_ref()).cloned();
            let stored = StoredModels::from_digests(taken.unwrap_or_default());
            Plan::new(problem, &environment, &stored)
        })
        .flat_map(|plan| {
            let ids = plan.stages().iter().map(|(id, _)| id.to_string());
            ids.collect::<Vec<_>>()
        })
        .collect();
    let (removed, bytes) = store
        .remove_stages(|stage| needed.contains(stage))
        .map_err(Failure::from_run_error)?;
    console::print_line(format_args!(
        "{}: {} stages removed, {:.1} MB; {} are kept",
        folder.display(),
        removed.len(),
        bytes as f64 / 1e6,
        store
            .stages()
            .names()
            .map_err(Failure::from_run_error)?
            .len(),
    ))?;
    Ok(())
}

/// The experiment whose results are published in `folder`, as its spec there says, and the manifest. A spec
/// that is not as it was published is refused: stages that it does not need may be those of the results.
fn published_experiment(folder: &Path) -> Result<(Experiment, Map<String, Value>), Failure> {
    let Published::WithDigests {
        manifest, files, ..
    } = published::read(folder)
    else {
        return Err(Failure::Input(format!(
            "{}: there are no published results here, so that every stage may be needed; run the experiment first",
            folder.display()
        )));
    };
    let spec = files.read(folder, SPEC_FILE).map_err(|fault| {
        Failure::Input(format!(
            "{fault}; run the experiment again, which publishes its results anew"
        ))
    })?;
    let spec = String::from_utf8_lossy(&spec);
    let experiment =
        document::parse(&folder.join(SPEC_FILE), &spec).map_err(Failure::from_input_error)?;
    Ok((experiment, manifest))
}
