//! The command line, as a type.

#[cfg(feature = "compute")]
use crate::compute::arguments::{
    BenchArguments, DataArguments, PlanArguments, RunArguments, StatusArguments,
};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use gap_report::Format;
#[cfg(not(feature = "compute"))]
use std::ffi::OsString;
use std::path::PathBuf;

/// Measures what amortization costs in variational inference.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Run an experiment; a second run goes on where the first stopped.
    #[cfg(feature = "compute")]
    Run(RunArguments),
    /// Write tables, figures and the page of finished experiments again.
    Report(ReportArguments),
    /// Show what an experiment would do, without doing it.
    #[cfg(feature = "compute")]
    Plan(PlanArguments),
    /// Show how far a run has come.
    #[cfg(feature = "compute")]
    Status(StatusArguments),
    /// Make a table and a figure of what benches measured.
    #[cfg(feature = "compute")]
    Bench(BenchArguments),
    /// Show the data sets, or check the files of one.
    #[cfg(feature = "compute")]
    Data(DataArguments),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// What this build does not have.
    #[cfg(not(feature = "compute"))]
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// `amortgap report`
#[derive(Args)]
pub struct ReportArguments {
    /// Folders of results
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
    /// Where to write, for a single folder [default: into it]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What to write: html, svg, png, md, tex, csv, json
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "FORMATS",
        default_value = "html,svg,png,json"
    )]
    pub format: Vec<Format>,
}
