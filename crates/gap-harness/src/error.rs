//! What stops a stage or a run.

use crate::store::StoreError;

/// A stage or a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A stage could not be carried out.
    #[error("{0}")]
    Stage(String),
    /// The folder of results refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The worker threads could not be started.
    #[error("cannot start {jobs} workers: {message}; use a smaller --jobs")]
    Workers {
        /// How many were asked for.
        jobs: usize,
        /// What is wrong with it.
        message: String,
    },
}

/// Anything that stops a stage, as its message.
pub(crate) fn stage_error(error: impl std::fmt::Display) -> RunError {
    RunError::Stage(error.to_string())
}
