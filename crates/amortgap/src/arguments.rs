//! The command line, as a type.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use gap_report::Format;
use gap_torch::device::DeviceName;
use std::num::NonZeroUsize;
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
    Run(RunArguments),
    /// Write tables, figures and the page of finished experiments again.
    Report(ReportArguments),
    /// Show what an experiment would do, without doing it.
    Plan(PlanArguments),
    /// Show how far a run has come.
    Status(StatusArguments),
    /// Make a table and a figure of what benches measured.
    Bench(BenchArguments),
    /// Show the data sets, or check the files of one.
    Data(DataArguments),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// `amortgap run`
#[derive(Args)]
pub struct RunArguments {
    /// The experiment, as in experiments/digits-capacity.toml
    pub spec: PathBuf,
    /// The folder of results [default: results/ and the experiment's name]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Override a key of the spec, as in `estimators.iw_samples=100`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Stages at a time [default: the number of processors; 1 on a GPU]
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// cpu, or cuda:0
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    pub device: DeviceName,
    /// The folder of data files that do not come with the program
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Forget finished stages and run everything again
    #[arg(long)]
    pub fresh: bool,
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

/// `amortgap plan`
#[derive(Args)]
pub struct PlanArguments {
    /// The experiment
    pub spec: PathBuf,
    /// Override a key of the spec
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `amortgap status`
#[derive(Args)]
pub struct StatusArguments {
    /// A folder of results
    pub folder: PathBuf,
}

/// `amortgap bench`
#[derive(Args)]
pub struct BenchArguments {
    /// Criterion's folder of results
    #[arg(long, default_value = "target/criterion", value_name = "DIR")]
    pub criterion: PathBuf,
    /// Where to write
    #[arg(long, default_value = "results/bench", value_name = "DIR")]
    pub out: PathBuf,
}

/// `amortgap data`
#[derive(Args)]
pub struct DataArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: DataCommand,
}

/// What to do about data.
#[derive(Subcommand)]
pub enum DataCommand {
    /// List the data sets.
    List,
    /// Check the files of a data set.
    Check {
        /// Its name.
        name: String,
        /// The folder of its files
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
}
