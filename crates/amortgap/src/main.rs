//! What amortization costs in variational inference: the command line.

mod arguments;
#[cfg(feature = "compute")]
mod compute;
mod exit;
mod report_command;
#[cfg(not(feature = "compute"))]
mod reporting_only;

use arguments::{Arguments, Command};
use clap::{CommandFactory, Parser};
use exit::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    exit::one_line_panics();
    exit::end_with_the_reader();
    let arguments = Arguments::parse();
    // What a panic has to say, the hook has said.
    match std::panic::catch_unwind(|| run_command(&arguments.command)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.report(),
        Err(_) => ExitCode::FAILURE,
    }
}

fn run_command(command: &Command) -> CommandResult {
    match command {
        #[cfg(feature = "compute")]
        Command::Run(run) => compute::run(run),
        Command::Report(report) => report_command::report(report),
        #[cfg(feature = "compute")]
        Command::Plan(plan) => compute::plan(plan),
        #[cfg(feature = "compute")]
        Command::Status(status) => compute::status(status),
        #[cfg(feature = "compute")]
        Command::Bench(bench) => compute::bench(bench),
        #[cfg(feature = "compute")]
        Command::Data(data) => compute::data(data),
        Command::Completions { shell } => {
            let out = &mut std::io::stdout();
            clap_complete::generate(*shell, &mut Arguments::command(), "amortgap", out);
            Ok(())
        }
        #[cfg(not(feature = "compute"))]
        Command::Other(words) => reporting_only::refuse(words),
    }
}

/// How a command ends.
type CommandResult = Result<(), Failure>;
