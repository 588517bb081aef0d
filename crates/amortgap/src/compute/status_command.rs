//! `amortgap status`: prints how far a run has come.

use super::arguments::StatusArguments;
use crate::CommandResult;
use crate::console;
use crate::exit::Failure;
use gap_store::published::{self, Published};

/// Prints what is finished in a results folder.
pub fn print_run_status(arguments: &StatusArguments) -> CommandResult {
    let folder = &arguments.folder;
    let status = gap_store::status(folder).map_err(Failure::from_input_error)?;
    let running = if status.in_use {
        ", a run is at work"
    } else {
        ""
    };
    let published = match published::read(folder) {
        Published::Nothing => "results are not published yet".to_owned(),
        Published::WithDigests { faults, .. } if faults.is_empty() => {
            "results are published".to_owned()
        }
        Published::WithDigests { faults, .. } => {
            format!(
                "results are published, and {} files are damaged or missing",
                faults.len()
            )
        }
        Published::WithoutDigests(_) => "results of an older program are published".to_owned(),
        Published::DamagedManifest(fault) => fault.to_string(),
    };
    let line = format!(
        "{}: {} stages finished, {} begun and not finished, {published}{running}",
        status.experiment,
        status.finished.len(),
        status.claimed.len(),
    );
    Ok(console::print_line(line)?)
}
