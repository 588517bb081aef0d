//! The exit statuses of the program: 0 done, 1 the run failed, 2 the input is wrong, 130 interrupted.

use std::error::Error;
use std::process::ExitCode;

/// Why a command failed.
pub enum Failure {
    /// The input is wrong. The message says what is wrong, where, and what to do.
    Input(String),
    /// The run failed. The message says what failed, and how to continue.
    Run(String),
}

impl Failure {
    /// A failure because the input is wrong, with the messages of `error` and its causes.
    pub fn from_input_error(error: impl Error) -> Self {
        Self::Input(error_chain_in_one_line(&error))
    }

    /// A failure of the run, with the messages of `error` and its causes.
    pub fn from_run_error(error: impl Error) -> Self {
        Self::Run(error_chain_in_one_line(&error))
    }

    /// Prints the message to stderr, in one line, and returns the exit status.
    pub fn print_and_get_exit_code(&self) -> ExitCode {
        let (message, status) = match self {
            Self::Input(message) => (message, 2),
            Self::Run(message) => (message, 1),
        };
        eprintln!("error: {message}");
        ExitCode::from(status)
    }
}

/// The messages of an error and its causes, in one line, without causes that the line already contains.
fn error_chain_in_one_line(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        source = cause.source();
    }
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Makes panics, which are bugs of the program, print one line without a backtrace.
pub fn set_one_line_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        let message = panic
            .payload_as_str()
            .unwrap_or("unknown")
            .lines()
            .next()
            .unwrap_or_default();
        eprintln!(
            "internal error{place}: {message} (please report this; finished stages are kept)"
        );
    }));
}

/// Makes the program end without a message if the reader of its output goes away, as `head` does.
///
/// Rust programs ignore SIGPIPE by default, and then panic when they print.
pub fn restore_default_sigpipe() {
    #[cfg(unix)]
    // SAFETY: no other thread runs yet, and the default disposition calls no code of ours.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}

/// Makes Ctrl-C and SIGTERM end the program at once. Finished stages are published completely, so none is lost.
#[cfg(feature = "compute")]
pub fn exit_on_interrupt_signal() {
    let stop = || {
        eprintln!("interrupted: finished stages are kept; the same command goes on from there");
        // SAFETY: `_exit` ends the process and touches no memory. `std::process::exit` would run libtorch's
        // destructors while workers still use libtorch, and often crash.
        unsafe { libc::_exit(130) }
    };
    if let Err(error) = ctrlc::set_handler(stop) {
        eprintln!("warning: an interruption will not be announced: {error}");
    }
}
