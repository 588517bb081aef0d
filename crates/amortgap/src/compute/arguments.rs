//! The arguments of the commands that only a build with libtorch has.

use clap::{Args, Subcommand};
use gap_harness::executor::DEFAULT_CHECKPOINT_SECONDS;
use gap_torch::device::DeviceName;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// `amortgap run`
#[derive(Args)]
pub struct RunArguments {
    /// The spec of the experiment, as in experiments/digits-capacity.toml
    pub spec: PathBuf,
    /// The results folder [default: results/ and the experiment's name]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Override a key of the spec, as in `estimators.iw_samples=100`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The number of stages to run in parallel [default: the number of processors; 1 on a GPU]
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// The device to compute on: cpu or cuda:0
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    pub device: DeviceName,
    /// The folder of data files that do not come with the program
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Take the models in this folder in place of fitting models of the same settings
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// Delete finished stages and run everything again
    #[arg(long)]
    pub fresh: bool,
    /// The time from one checkpoint of a long fit or search to the next; after a kill, the next run goes on there
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CHECKPOINT_SECONDS)]
    pub checkpoint_seconds: u32,
}

/// `amortgap plan`
#[derive(Args)]
pub struct PlanArguments {
    /// The spec of the experiment
    pub spec: PathBuf,
    /// Override a key of the spec, as in `estimators.iw_samples=100`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Take the models in this folder in place of fitting models of the same settings
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `amortgap status`
#[derive(Args)]
pub struct StatusArguments {
    /// The results folder of the run
    pub folder: PathBuf,
}

/// `amortgap check`
#[derive(Args)]
pub struct CheckArguments {
    /// The results folders
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
}

/// `amortgap clean`
#[derive(Args)]
pub struct CleanArguments {
    /// The results folder
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Remove the stages of other versions of the program too, all of which this one cannot use
    #[arg(long)]
    pub other_programs: bool,
}

/// `amortgap models`
#[derive(Args)]
pub struct ModelsArguments {
    /// The results folder of the run
    #[arg(value_name = "RESULTS")]
    pub folder: PathBuf,
    /// The folder to write to, with a folder for each model
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `amortgap bench`
#[derive(Args)]
pub struct BenchArguments {
    /// The folder in which criterion stored its results
    #[arg(long, default_value = "target/criterion", value_name = "DIR")]
    pub criterion: PathBuf,
    /// The folder to write to
    #[arg(long, default_value = "results/bench", value_name = "DIR")]
    pub out: PathBuf,
}

/// `amortgap data`
#[derive(Args)]
pub struct DataArguments {
    /// The command to run.
    #[command(subcommand)]
    pub command: DataCommand,
}

/// The commands about data sets.
#[derive(Subcommand)]
pub enum DataCommand {
    /// List the data sets.
    List,
    /// Check the files of a data set.
    Check {
        /// The name of the data set
        name: String,
        /// The folder of its files
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
}
