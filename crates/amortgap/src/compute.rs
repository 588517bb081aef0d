//! The commands that only a build with libtorch has.

pub mod arguments;
mod bench_command;
mod check_command;
mod clean_command;
mod criterion_results;
mod data_command;
mod models_command;
mod plan_command;
mod progress;
mod resume_command;
mod run_command;
mod status_command;

pub use bench_command::report_criterion_benches;
pub use check_command::check_results;
pub use clean_command::remove_unneeded_stages;
pub use data_command::list_or_check_datasets;
pub use models_command::save_models;
pub use plan_command::print_plan;
pub use run_command::run_experiment;
pub use status_command::print_run_status;

use crate::CommandResult;
use crate::exit::Failure;
use gap_model::Backend;
use gap_torch::math_library::is_switch_turned_off;

/// Refuses environment variables of this program with values that it does not know.
pub fn check_environment() -> CommandResult {
    is_switch_turned_off().map_err(Failure::from_input_error)?;
    Backend::from_environment().map_err(Failure::from_input_error)?;
    Ok(())
}
