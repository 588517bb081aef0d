//! The errors of models.

use gap_torch::DimsError;

/// The reason why a model cannot compute what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A tensor has the wrong axes.
    #[error(transparent)]
    Dims(#[from] DimsError),
    /// An observation lies where the likelihood has no density.
    #[error(
        "{likelihood} needs observations that are {needs}, but datapoint {row} of the batch holds {value}"
    )]
    OffSupport {
        /// The likelihood.
        likelihood: &'static str,
        /// A description of its support.
        needs: &'static str,
        /// The first offending row of the batch.
        row: i64,
        /// The offending value.
        value: f64,
    },
    /// A size differs from the one that the model needs.
    #[error("the model has {what} = {model}, but was given {given}")]
    Size {
        /// The name of the size, such as `X`.
        what: &'static str,
        /// The size that the model needs.
        model: i64,
        /// The size that was given.
        given: i64,
    },
    /// A row names an observation that the model was not conditioned on.
    #[error(
        "observation {observation} was asked of a model at {n_observations} observations, numbered from 0"
    )]
    NoSuchObservation {
        /// The index that was asked for.
        observation: i64,
        /// The number of observations that the model was conditioned on.
        n_observations: i64,
    },
    /// The model cannot be drawn from.
    #[error("points cannot be drawn from this model: it has no `sample_joint`")]
    CannotBeSampled,
    /// An error of a model of one's own.
    #[error("{0}")]
    Own(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A stored model cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] gap_torch::checkpoint::CheckpointError),
}
