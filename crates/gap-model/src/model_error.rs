//! Why a model could not answer.

use gap_torch::DimsError;

/// A model was asked something that it cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A tensor has other axes than it should.
    #[error(transparent)]
    Dims(#[from] DimsError),
    /// An observation lies where the likelihood has no density.
    #[error(
        "{likelihood} needs observations that are {needs}, but datapoint {row} of the batch holds {value}"
    )]
    OffSupport {
        /// The likelihood.
        likelihood: &'static str,
        /// Its support.
        needs: &'static str,
        /// The first offending row of the batch.
        row: i64,
        /// The offending value.
        value: f64,
    },
    /// Sizes do not fit together.
    #[error("the model has {what} = {model}, but was given {given}")]
    Size {
        /// The size that is wrong, by name.
        what: &'static str,
        /// The model's.
        model: i64,
        /// What was given.
        given: i64,
    },
    /// A row names an observation that the model was not conditioned on.
    #[error(
        "observation {observation} was asked of a model at {n_observations} observations, numbered from 0"
    )]
    NoSuchObservation {
        /// The number that was asked for.
        observation: i64,
        /// How many there are.
        n_observations: i64,
    },
    /// A stored model cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] gap_torch::checkpoint::CheckpointError),
}
