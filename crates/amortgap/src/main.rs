//! What amortization costs in variational inference: the command line.

mod arguments;
mod bench_command;
mod criterion_results;
mod data_command;
mod exit;
mod plan_command;
mod progress;
mod report_command;
mod run_command;
mod status_command;

use arguments::{Arguments, Command};
use clap::{CommandFactory, Parser};
use exit::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    exit::one_line_panics();
    exit::end_with_the_reader();
    let arguments = Arguments::parse();
    // What a panic has to say, the hook has said.
    match std::panic::catch_unwind(|| carry_out(&arguments.command)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.report(),
        Err(_) => ExitCode::FAILURE,
    }
}

fn carry_out(command: &Command) -> CommandResult {
    match command {
        Command::Run(run) => run_command::run(run),
        Command::Report(report) => report_command::report(report),
        Command::Plan(plan) => plan_command::plan(plan),
        Command::Status(status) => status_command::status(status),
        Command::Bench(bench) => bench_command::bench(bench),
        Command::Data(data) => data_command::data(data),
        Command::Completions { shell } => {
            let out = &mut std::io::stdout();
            clap_complete::generate(*shell, &mut Arguments::command(), "amortgap", out);
            Ok(())
        }
    }
}

/// How a command ends.
type CommandResult = Result<(), Failure>;
