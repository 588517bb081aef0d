//! The errors that stop a stage or a run.

use gap_store::StoreError;
use gap_torch::error_message::{Shortage, without_backtrace};

/// Why a stage or a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A stage could not be executed.
    #[error("{0}")]
    Stage(String),
    /// The results folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The worker threads could not be started.
    #[error("cannot start {jobs} workers: {message}; use a smaller --jobs")]
    Workers {
        /// The number of workers that were asked for.
        jobs: usize,
        /// Why they could not be started.
        message: String,
    },
}

/// Turns any error that stops a stage into [`RunError::Stage`] with its message.
pub(crate) fn stage_error(error: impl std::fmt::Display) -> RunError {
    let message = error.to_string();
    RunError::Stage(match Shortage::in_message(&message) {
        Some(shortage) => shortage.advice().to_owned(),
        None => without_backtrace(&message).to_owned(),
    })
}

/// The failure of a stage that panicked with `message`: a bug of the program, unless something ran out.
pub(crate) fn panicked_stage_failure(message: &str) -> String {
    match Shortage::in_message(message) {
        Some(shortage) => shortage.advice().to_owned(),
        None => format!("internal error: {}", without_backtrace(message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_no_backtrace_and_says_what_ran_out() {
        let of_shape =
            "shape '[3]' is invalid\nException raised from infer_size at ExpandUtils.h:1";
        assert_eq!(stage_error(of_shape).to_string(), "shape '[3]' is invalid");
        assert_eq!(
            panicked_stage_failure(of_shape),
            "internal error: shape '[3]' is invalid"
        );
        for message in [
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 32 bytes.\nframe #0: f",
            "std::bad_alloc",
        ] {
            let advice = Shortage::Memory.advice();
            assert_eq!(stage_error(message).to_string(), advice);
            assert_eq!(panicked_stage_failure(message), advice);
        }
    }
}
