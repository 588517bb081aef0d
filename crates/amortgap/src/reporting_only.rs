//! Refuses the commands that need libtorch, in a build without it.

use crate::CommandResult;
use crate::arguments::Arguments;
use crate::exit::Failure;
use clap::CommandFactory;
use clap::error::ErrorKind;
use std::ffi::OsString;

const LIBTORCH_COMMANDS: [&str; 7] = ["run", "plan", "status", "check", "clean", "bench", "data"];

/// Refuses a command that this build does not have. If another build has it, the message says which.
pub fn refuse_unavailable_command(words: &[OsString]) -> CommandResult {
    let name = words
        .first()
        .map_or_else(String::new, |word| word.to_string_lossy().into_owned());
    if LIBTORCH_COMMANDS.contains(&name.as_str()) {
        return Err(Failure::Input(format!(
            "`amortgap {name}` needs libtorch, and this build only reports; build with default features for the rest (`cargo build -p amortgap`)"
        )));
    }
    let message = format!("unrecognized subcommand '{name}'");
    let error = Arguments::command().error(ErrorKind::InvalidSubcommand, message);
    Err(Failure::from(error))
}
