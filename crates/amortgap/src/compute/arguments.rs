//! The arguments of the commands that compute.

use clap::{Args, Subcommand};
use gap_torch::device::DeviceName;
use std::num::NonZeroUsize;
use std::path::PathBuf;

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
