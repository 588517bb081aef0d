//! `amortgap check`: holds a folder of results against its digests.

use super::arguments::CheckArguments;
use crate::CommandResult;
use crate::console;
use crate::exit::Failure;
use crate::report_command::SOURCES;
use gap_harness::Provenance;
use gap_schema::results::{PROVENANCE_FILE, RECORDS_FILE};
use gap_store::published::{self, Published};
use gap_store::{FileDigests, FileFault, FileFaultKind, StageState, StagesFolder, owner_fault};
use gap_torch::device::DeviceName;
use serde_json::{Map, Value};
use std::path::Path;

/// Prints what each folder consists of, and what in it is damaged or not there.
pub fn check_results(arguments: &CheckArguments) -> CommandResult {
    let mut damaged = 0;
    for folder in &arguments.folders {
        damaged += check_folder(folder)?;
    }
    match damaged {
        0 => Ok(()),
        n => Err(Failure::Run(format!(
            "{n} damaged files or stages; the command that ran the experiment makes them anew"
        ))),
    }
}

/// Prints what there is in `folder`, and returns how much of it is damaged.
fn check_folder(folder: &Path) -> Result<usize, Failure> {
    let name = folder.display();
    let (manifest, mut damaged) = match published::read(folder) {
        Published::Nothing if folder.join(RECORDS_FILE).is_file() => {
            let path = folder.join(PROVENANCE_FILE);
            console::print_line(format_args!("{}: it is not there", path.display()))?;
            (Map::new(), 1)
        }
        Published::Nothing => {
            return Err(Failure::Input(format!(
                "{name}: there are no results here; name the folder of a finished run, which `amortgap run` makes"
            )));
        }
        Published::DamagedManifest(fault) => {
            console::print_line(format_args!("{fault}"))?;
            (Map::new(), 1)
        }
        Published::WithoutDigests(manifest) => {
            console::print_line(format_args!(
                "{name}: results of an older program, without digests to check them by"
            ))?;
            (manifest, 0)
        }
        Published::WithDigests {
            manifest,
            files,
            faults,
        } => {
            let is_damaged = |fault: &&FileFault| fault.kind != FileFaultKind::Missing;
            let damaged = faults.iter().filter(is_damaged).count();
            let whole = files.0.len() - faults.len();
            console::print_line(format_args!(
                "{name}: {whole} of {} files are as published",
                files.0.len()
            ))?;
            for fault in &faults {
                console::print_line(format_args!("  {fault}"))?;
            }
            (manifest, damaged + check_unlisted(folder, &files)?)
        }
    };
    if !folder.join(RECORDS_FILE).is_file() {
        console::print_line(format_args!(
            "{name}: {RECORDS_FILE} is not here, so that no report can be made; `amortgap run` makes it"
        ))?;
    }
    damaged += check_stages(folder)?;
    if let Some(numbers) = manifest.get("numbers").and_then(Value::as_str) {
        console::print_line(format_args!("{name}: numbers {numbers}"))?;
    }
    console::print_line(format_args!("{name}: {}", reproducibility(&manifest)))?;
    Ok(damaged)
}

/// Prints which files nobody published, and returns how many of them are in the way of a report.
fn check_unlisted(folder: &Path, files: &FileDigests) -> Result<usize, Failure> {
    let mut in_the_way = 0;
    for path in published::unlisted(folder, files).map_err(Failure::from_run_error)? {
        let is_source = SOURCES.iter().any(|name| path == folder.join(name));
        let consequence = match is_source {
            true => ", and no report is made while it is there; remove it",
            false => "",
        };
        in_the_way += usize::from(is_source);
        console::print_line(format_args!(
            "  {}: it is not among the published files{consequence}",
            path.display()
        ))?;
    }
    Ok(in_the_way)
}

/// Prints which stages there are, and returns how many files about them are damaged.
fn check_stages(folder: &Path) -> Result<usize, Failure> {
    let stages = StagesFolder::in_results(folder);
    let names = stages.names().map_err(Failure::from_run_error)?;
    let states = names.iter().map(|name| stages.state(name));
    let faults: Vec<FileFault> = states
        .filter_map(|state| match state {
            StageState::Damaged(fault) => Some(fault),
            StageState::Missing | StageState::Finished => None,
        })
        .collect();
    let owner = owner_fault(folder);
    let name = folder.display();
    match names.len() {
        0 => console::print_line(format_args!(
            "{name}: no stages are here, so that a run would execute them all"
        ))?,
        n => console::print_line(format_args!(
            "{name}: {} of {n} stages are as written",
            n - faults.len()
        ))?,
    }
    for fault in faults.iter().chain(&owner) {
        console::print_line(format_args!("  {fault}"))?;
    }
    Ok(faults.len() + owner.iter().count())
}

/// Says whether this program would make the same numbers, from what `manifest` says of the program and the
/// machine that made them.
fn reproducibility(manifest: &Map<String, Value>) -> String {
    let here = Provenance::of_this_process(DeviceName::Cpu, 1).to_map();
    let decisive = ["source", "libtorch", "math", "kernels", "device"];
    let text = |map: &Map<String, Value>, key: &str| match map.get(key) {
        Some(Value::String(text)) => text.clone(),
        _ => "unknown".to_owned(),
    };
    let differences: Vec<String> = decisive
        .iter()
        .filter(|key| text(manifest, key) != text(&here, key))
        .map(|key| format!("{key} {} (here {})", text(manifest, key), text(&here, key)))
        .collect();
    if differences.is_empty() {
        return "this program makes the same numbers again on this machine".to_owned();
    }
    format!(
        "made by amortgap {} at commit {}, with {}: its numbers can be made again there, and compared here",
        text(manifest, "amortgap"),
        text(manifest, "commit"),
        differences.join(", ")
    )
}
