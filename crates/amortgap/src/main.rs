//! The command line of `amortgap`, which measures what amortization costs in variational inference.

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
    exit::set_one_line_panic_hook();
    exit::restore_default_sigpipe();
    let arguments = Arguments::parse();
    // The panic hook has already printed the message of a panic.
    match std::panic::catch_unwind(|| dispatch_command(&arguments.command)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.print_and_get_exit_code(),
        Err(_) => ExitCode::FAILURE,
    }
}

fn dispatch_command(command: &Command) -> CommandResult {
    match command {
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
        Command::Data(data) => compute::list_or_check_datasets(data),
        Command::Completions { shell } => {
            let out = &mut std::io::stdout();
            clap_complete::generate(*shell, &mut Arguments::command(), "amortgap", out);
            Ok(())
        }
        #[cfg(not(feature = "compute"))]
        Command::Other(words) => reporting_only::refuse_unavailable_command(words),
    }
}

/// The result of a command.
type CommandResult = Result<(), Failure>;
