//! The commands that need libtorch: they compute, or say what computing would do or has done.

pub mod arguments;
mod bench_command;
mod criterion_results;
mod data_command;
mod plan_command;
mod progress;
mod run_command;
mod status_command;

pub use bench_command::bench;
pub use data_command::data;
pub use plan_command::plan;
pub use run_command::run;
pub use status_command::status;
