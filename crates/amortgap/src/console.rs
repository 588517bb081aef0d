//! Everything that the program prints.
//!
//! What a command was asked for goes to stdout, and the command fails if it cannot be written there. Progress,
//! warnings and error messages go to stderr as far as possible: a result is worth more than a message.
//!
//! If the reader of stdout goes away, as `head` does, the program ends without a message. If that of stderr
//! goes away, the program goes on.

use crate::{exit, signals};
use std::fmt::{self, Display};
use std::io::{self, Write};

/// Why stdout cannot be written to.
#[derive(Debug)]
pub struct OutputError(io::Error);

impl Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write to stdout: {}", self.0)
    }
}

/// Prints a text that ends without a newline, and a newline, to stdout.
pub fn print_line(text: impl Display) -> Result<(), OutputError> {
    let line = format!("{text}\n");
    let mut stdout = io::stdout().lock();
    // Without `flush`, an error would be noticed only when the process ends, where nobody reports it.
    let written = stdout
        .write_all(line.as_bytes())
        .and_then(|()| stdout.flush());
    written.map_err(output_error)
}

/// Prints a line to stderr, if it can be written to; nothing once the process is ending.
pub fn notify(line: impl Display) {
    if exit::is_ending() {
        return;
    }
    // One write for the whole line, so that lines of several threads do not mix.
    let line = format!("{line}\n");
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Prints a message of clap: help and version, which were asked for, to stdout, and all others to stderr.
pub fn print_clap_message(message: &clap::Error) -> Result<(), OutputError> {
    let printed = message.print().and_then(|()| io::stdout().flush());
    match printed {
        Err(error) if !message.use_stderr() => Err(output_error(error)),
        _ => Ok(()),
    }
}

/// The error of writing to stdout; if nobody reads it, the program ends here.
fn output_error(error: io::Error) -> OutputError {
    if error.kind() == io::ErrorKind::BrokenPipe {
        signals::end_because_nobody_reads();
    }
    OutputError(error)
}
