//! The checkpoints of long stages, in the scratch folder of the stage.

use gap_infer::InferError;
use gap_infer::train::FitContext;
use gap_store::{Scratch, StoreError};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// The file with the latest checkpoint of one piece of work of a stage. A new checkpoint is due when the latest one, or
/// the beginning, is an interval ago.
pub struct CheckpointFile {
    scratch: Scratch,
    name: &'static str,
    interval: Duration,
    latest: Cell<Instant>,
}

impl CheckpointFile {
    /// The file `name` of a stage, which is written every `interval`.
    pub fn new(scratch: Scratch, name: &'static str, interval: Duration) -> Self {
        Self {
            scratch,
            name,
            interval,
            latest: Cell::new(Instant::now()),
        }
    }

    /// The latest checkpoint, if it is as it was written.
    pub fn load(&self) -> Option<Vec<u8>> {
        self.scratch.read(self.name)
    }

    /// Whether a checkpoint is due.
    pub fn is_due(&self) -> bool {
        self.latest.get().elapsed() >= self.interval
    }

    /// Replaces the checkpoint.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the disk refuses.
    pub fn save(&self, content: &[u8]) -> Result<(), StoreError> {
        self.scratch.replace(self.name, content)?;
        self.latest.set(Instant::now());
        Ok(())
    }
}

/// A fit that reports its progress, and keeps its checkpoints in a file.
pub struct CheckpointedFit<'a> {
    /// Called with the fraction of steps that are done.
    pub progress: &'a dyn Fn(f64),
    /// The file.
    pub file: CheckpointFile,
}

impl FitContext for CheckpointedFit<'_> {
    fn progressed(&self, fraction: f64) {
        (self.progress)(fraction);
    }

    fn load_checkpoint(&self) -> Option<Vec<u8>> {
        self.file.load()
    }

    fn is_checkpoint_due(&self) -> bool {
        self.file.is_due()
    }

    fn save_checkpoint(&self, checkpoint: &[u8]) -> Result<(), InferError> {
        self.file
            .save(checkpoint)
            .map_err(|error| InferError::Checkpoint {
                message: error.to_string(),
            })
    }
}
