//! `amortgap data`: lists the data sets, or checks whether the files of one are as published.

use super::arguments::{DataArguments, DataCommand};
use crate::CommandResult;
use crate::console;
use crate::exit::Failure;
use std::path::Path;

/// Lists the data sets, or checks the files of one.
pub fn list_or_check_datasets(arguments: &DataArguments) -> CommandResult {
    match &arguments.command {
        DataCommand::List => print_datasets(),
        DataCommand::Check { name, data_dir } => check_dataset_files(name, data_dir.as_deref()),
    }
}

fn print_datasets() -> CommandResult {
    for entry in gap_data::catalog() {
        let files = if entry.built_in {
            "comes with amortgap"
        } else {
            "needs --data-dir"
        };
        console::print_line(format_args!(
            "{:<18} {:>6} + {:<6} points of {:>3}, {files}; {}; {}",
            entry.name, entry.n_train, entry.n_test, entry.observed_dim, entry.title, entry.licence
        ))?;
    }
    Ok(console::print_line(format_args!(
        "{:<18} drawn from the experiment's own model",
        gap_spec::SYNTHETIC
    ))?)
}

fn check_dataset_files(name: &str, data_dir: Option<&Path>) -> CommandResult {
    let files = gap_data::check(name, data_dir).map_err(Failure::from_input_error)?;
    for file in &files {
        let verdict = if file.ok { "ok" } else { "WRONG" };
        console::print_line(format_args!(
            "{verdict:<5} {} sha256 {}",
            file.path.display(),
            file.sha256
        ))?;
    }
    match files.iter().find(|file| !file.ok) {
        None => Ok(()),
        Some(file) => Err(Failure::Input(format!(
            "{} has sha256 {}, but the published file has {}; fetch it again",
            file.path.display(),
            file.sha256,
            file.expected_sha256
        ))),
    }
}
