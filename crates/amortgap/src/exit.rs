//! How the program ends: with status 0 if it is done, 1 if the run failed, 2 if the input is wrong, and 130 if
//! it was interrupted.

use crate::console::{self, OutputError};
use gap_store::StoreError;
#[cfg(feature = "compute")]
use gap_torch::error_message::{Shortage, without_backtrace};
use std::any::Any;
use std::error::Error;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why a command was not carried out, or not completely.
pub enum Failure {
    /// The input is wrong. The message says what is wrong, where, and what to do.
    Input(String),
    /// The run failed. The message says what failed.
    Run(String),
    /// Everything is done, but stdout cannot be written to.
    Output(String),
    /// The arguments are no command: they are wrong, or ask for the help or the version.
    Clap(clap::Error),
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

    /// A failure because of a folder of results: wrong input if the user has to do something about the folder.
    pub fn from_store_error(error: StoreError) -> Self {
        if error.is_about_folder() {
            Self::from_input_error(error)
        } else {
            Self::from_run_error(error)
        }
    }

    /// Prints the message, which is one line on stderr unless it is clap's, and returns the exit status.
    pub fn print_and_get_exit_code(self) -> ExitCode {
        match self {
            Self::Input(message) => fail(2, &message),
            Self::Run(message) => match RESUME_COMMAND.get() {
                Some(command) => fail(1, &format!("{message}; to go on: {command}")),
                None => fail(1, &message),
            },
            Self::Output(message) => fail(1, &message),
            Self::Clap(message) => match console::print_clap_message(&message) {
                Ok(()) => ExitCode::from(u8::try_from(message.exit_code()).unwrap_or(2)),
                Err(error) => Self::from(error).print_and_get_exit_code(),
            },
        }
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        Self::Output(error.to_string())
    }
}

impl From<clap::Error> for Failure {
    fn from(message: clap::Error) -> Self {
        Self::Clap(message)
    }
}

fn fail(status: u8, message: &str) -> ExitCode {
    console::notify(format_args!("error: {message}"));
    ExitCode::from(status)
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

/// The command that goes on with this run, for every message with which the run can end.
static RESUME_COMMAND: OnceLock<String> = OnceLock::new();

/// Whether this process runs an experiment.
pub fn is_run() -> bool {
    RESUME_COMMAND.get().is_some()
}

/// Makes every message with which this run can end early name the command that goes on with it.
#[cfg(feature = "compute")]
pub fn set_resume_command(command: String) {
    RESUME_COMMAND
        .set(command)
        .expect("a process runs one experiment");
}

/// Makes panics print one line without a backtrace. They are bugs of the program, except where memory ran out.
pub fn set_one_line_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("unknown");
        #[cfg(feature = "compute")]
        if Shortage::in_message(message).is_some() {
            // Whoever catches the panic reports it: the stage that it ends, or `main`.
            return;
        }
        #[cfg(feature = "compute")]
        let message = without_backtrace(message);
        let place = panic
            .location()
            .map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        let line = message.lines().next().unwrap_or_default();
        console::notify(format_args!(
            "internal error{place}: {line} (please report this; finished stages are kept)"
        ));
    }));
}

/// The exit status after a panic of the main thread, whose message is printed here if the hook has not.
pub fn exit_code_after_panic(payload: &(dyn Any + Send)) -> ExitCode {
    #[cfg(feature = "compute")]
    {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let message = text.or_else(|| payload.downcast_ref::<&str>().copied());
        if let Some(shortage) = message.and_then(Shortage::in_message) {
            return Failure::Run(shortage.advice().to_owned()).print_and_get_exit_code();
        }
    }
    #[cfg(not(feature = "compute"))]
    let _ = payload;
    ExitCode::FAILURE
}

/// Whether [`end_process`] was called.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// Whether the process is ending by [`end_process`], whose line is the last one.
pub fn is_ending() -> bool {
    IS_ENDING.load(Ordering::Acquire)
}

/// Prints the parts of a line to stderr, with the command that goes on with the run, and ends the process at
/// once. Returns without doing anything if the process is already ending in this way.
///
/// It is for signal handlers, and for when there is no memory: it takes no lock and allocates nothing.
pub fn end_process(parts: &[&str], status: i32) {
    if IS_ENDING.swap(true, Ordering::AcqRel) {
        return;
    }
    // SAFETY: the call only asks the system about a descriptor.
    if is_run() && unsafe { libc::isatty(STDERR) } == 1 {
        // The cursor is at the end of a progress bar.
        write_to_stderr("\n");
    }
    parts.iter().for_each(|part| write_to_stderr(part));
    if let Some(command) = RESUME_COMMAND.get() {
        write_to_stderr("; finished stages are kept; to go on: ");
        write_to_stderr(command);
    }
    write_to_stderr("\n");
    // SAFETY: `_exit` ends the process and touches no memory. `std::process::exit` would run libtorch's
    // destructors while workers still use libtorch, and often crash.
    unsafe { libc::_exit(status) }
}

const STDERR: libc::c_int = 2;

fn write_to_stderr(part: &str) {
    // SAFETY: the pointer and the length are those of one string. An error is of no use to a process that ends.
    unsafe {
        libc::write(STDERR, part.as_ptr().cast(), part.len() as _);
    }
}
