//! The command line of `amortgap`, which measures what amortization costs in variational inference.

#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they panic if stdout or stderr is closed or its disk is full; use `console`"
)]

mod arguments;
#[cfg(feature = "compute")]
mod compute;
mod console;
mod exit;
mod memory;
mod report_command;
#[cfg(not(feature = "compute"))]
mod reporting_only;
mod signals;
#[cfg(all(feature = "compute", target_os = "linux", target_env = "gnu"))]
mod working_folder;

use arguments::{Arguments, Command};
use clap::{CommandFactory, Parser};
use exit::Failure;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: memory::AllocatorOrExit = memory::AllocatorOrExit;

fn main() -> ExitCode {
    exit::set_one_line_panic_hook();
    signals::set_signals_of_writing();
    match std::panic::catch_unwind(parse_and_dispatch_command) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.print_and_get_exit_code(),
        Err(panic) => exit::exit_code_after_panic(panic.as_ref()),
    }
}

fn parse_and_dispatch_command() -> CommandResult {
    let arguments = Arguments::try_parse()?;
    #[cfg(feature = "compute")]
    compute::check_environment()?;
    match &arguments.command {
        #[cfg(feature = "compute")]
        Command::Run(run) => compute::run_experiment(run),
        Command::Report(report) => report_command::rewrite_reports(report),
        #[cfg(feature = "compute")]
        Command::Plan(plan) => compute::print_plan(plan),
        #[cfg(feature = "compute")]
        Command::Status(status) => compute::print_run_status(status),
        #[cfg(feature = "compute")]
        Command::Check(check) => compute::check_results(check),
        #[cfg(feature = "compute")]
        Command::Clean(clean) => compute::remove_unneeded_stages(clean),
        #[cfg(feature = "compute")]
        Command::Bench(bench) => compute::report_criterion_benches(bench),
        #[cfg(feature = "compute")]
        Command::Models(models) => compute::save_models(models),
        #[cfg(feature = "compute")]
        Command::Data(data) => compute::list_or_check_datasets(data),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "amortgap", &mut script);
            Ok(console::print_line(
                String::from_utf8_lossy(&script).trim_end(),
            )?)
        }
        #[cfg(not(feature = "compute"))]
        Command::Other(words) => reporting_only::refuse_unavailable_command(words),
    }
}

/// The result of a command.
type CommandResult = Result<(), Failure>;
