//! The command line arguments.

#[cfg(feature = "compute")]
use crate::compute::arguments::{
    BenchArguments, CheckArguments, CleanArguments, DataArguments, ModelsArguments, PlanArguments,
    RunArguments, StatusArguments,
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
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of the program.
#[derive(Subcommand)]
pub enum Command {
    /// Run an experiment; a second run continues where the first stopped.
    #[cfg(feature = "compute")]
    Run(RunArguments),
    /// Write the tables, figures and HTML page of finished experiments again.
    Report(ReportArguments),
    /// List the stages of an experiment without running them.
    #[cfg(feature = "compute")]
    Plan(PlanArguments),
    /// Show how many stages of a run are finished.
    #[cfg(feature = "compute")]
    Status(StatusArguments),
    /// Check results against their digests: which files are damaged or missing, and who can make them again.
    #[cfg(feature = "compute")]
    Check(CheckArguments),
    /// Remove stages that the spec in a results folder does not need.
    #[cfg(feature = "compute")]
    Clean(CleanArguments),
    /// Save the fitted models of a run, so that other runs take them in place of fits.
    #[cfg(feature = "compute")]
    Models(ModelsArguments),
    /// Make a table and a figure of benchmark results.
    #[cfg(feature = "compute")]
    Bench(BenchArguments),
    /// List the data sets, or check the files of one.
    #[cfg(feature = "compute")]
    Data(DataArguments),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// A command that this build does not have.
    #[cfg(not(feature = "compute"))]
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// `amortgap report`
#[derive(Args)]
pub struct ReportArguments {
    /// Results folders of finished runs
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
    /// The folder to write to, if there is a single results folder [default: the results folder]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The formats to write: html, svg, png, md, tex, csv, json
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "FORMATS",
        default_value = "html,svg,png,json"
    )]
    pub format: Vec<Format>,
}
