//! The errors that stop a stage or a run.

use gap_store::StoreError;

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
    RunError::Stage(error.to_string())
}
