//! How the program ends: 0 done, 1 the run failed, 2 the input is wrong, 130 interrupted.

use std::error::Error;
use std::process::ExitCode;

/// Why a command did not do what was asked.
pub enum Failure {
    /// The input is wrong: what, where, and the cure.
    Input(String),
    /// The run failed: what, and how to go on.
    Run(String),
}

impl Failure {
    /// The input is wrong.
    pub fn from_input_error(error: impl Error) -> Self {
        Self::Input(error_chain_in_one_line(&error))
    }

    /// The run failed.
    pub fn from_run_error(error: impl Error) -> Self {
        Self::Run(error_chain_in_one_line(&error))
    }

    /// Says so on stderr, in one line, and gives the exit status.
    pub fn print_and_get_exit_code(&self) -> ExitCode {
        let (message, status) = match self {
            Self::Input(message) => (message, 2),
            Self::Run(message) => (message, 1),
        };
        eprintln!("error: {message}");
        ExitCode::from(status)
    }
}

/// An error and its causes, in one line, each cause said once.
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

/// A panic is a mistake of ours: it is said in one line, without a backtrace.
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

/// A reader that goes away, as `head` does, ends the program quietly, as it does every other.
///
/// Rust ignores the signal, and then panics where it prints.
pub fn restore_default_sigpipe() {
    #[cfg(unix)]
    // SAFETY: no other thread runs yet, and the default disposition calls no code of ours.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}

/// On Ctrl-C and SIGTERM: stop at once. What is finished was published whole, so nothing is lost.
#[cfg(feature = "compute")]
pub fn exit_on_interrupt_signal() {
    let stop = || {
        eprintln!("interrupted: finished stages are kept; the same command goes on from there");
        // SAFETY: it ends the process and touches no memory. `std::process::exit` would run
        // libtorch's destructors under the hands of the workers, and crash every other time.
        unsafe { libc::_exit(130) }
    };
    if let Err(error) = ctrlc::set_handler(stop) {
        eprintln!("warning: an interruption will not be announced: {error}");
    }
}
