//! `amortgap status`: prints how many stages of a run are finished.

use super::arguments::StatusArguments;
use crate::CommandResult;
use crate::console;
use crate::exit::Failure;
use gap_harness::store;

/// Prints how many stages are finished in a results folder, and whether results are published.
pub fn print_run_status(arguments: &StatusArguments) -> CommandResult {
    let status = store::status(&arguments.folder).map_err(Failure::from_input_error)?;
    let running = if status.in_use {
        ", a run is at work"
    } else {
        ""
    };
    let published = if status.finished {
        "results are published"
    } else {
        "results are not published yet"
    };
    let line = format!(
        "{}: {} stages finished, {} begun and not finished, {published}{running}",
        status.experiment, status.stages, status.partial
    );
    Ok(console::print_line(line)?)
}
