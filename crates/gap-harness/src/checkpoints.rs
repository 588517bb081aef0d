//! The checkpoints of long stages, in the scratch folder of the stage.

use crate::error::{RunError, stage_error};
use gap_infer::InferError;
use gap_infer::train::FitContext;
use gap_store::{Scratch, StageOutput, StoreError};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// The file with the latest checkpoint of one piece of work of a stage. A new checkpoint is due when the latest one, or
/// the beginning, is an interval ago.
///
/// It also has the wall time of the stage up to then, which the output of the stage is told when the work goes on.
pub struct CheckpointFile<'a> {
    scratch: Scratch,
    output: &'a StageOutput,
    name: &'static str,
    interval: Duration,
    begun: Instant,
    latest: Cell<Instant>,
}

/// The size of the wall time, before the rest of the content.
const SECONDS_BYTES: usize = size_of::<f64>();

impl<'a> CheckpointFile<'a> {
    /// The file `name` of the stage with this output, which is written every `interval`.
    pub fn new(
        scratch: Scratch,
        output: &'a StageOutput,
        name: &'static str,
        interval: Duration,
    ) -> Self {
        let now = Instant::now();
        Self {
            scratch,
            output,
            name,
            interval,
            begun: now,
            latest: Cell::new(now),
        }
    }

    /// The latest checkpoint, if it is as it was written.
    pub fn load(&self) -> Option<Vec<u8>> {
        let mut content = self.scratch.read(self.name)?;
        let own = content.split_off(content.len().min(SECONDS_BYTES));
        let seconds = f64::from_le_bytes(content.try_into().ok()?);
        self.output.set_earlier_seconds(seconds);
        Some(own)
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
        let seconds = self.output.earlier_seconds() + self.begun.elapsed().as_secs_f64();
        let timed = [&seconds.to_le_bytes()[..], content].concat();
        self.scratch.replace(self.name, &timed)?;
        self.latest.set(Instant::now());
        Ok(())
    }
}

/// A fit that reports its progress, and keeps its checkpoints in a file.
pub struct CheckpointedFit<'a> {
    progress: &'a dyn Fn(f64),
    file: CheckpointFile<'a>,
    /// Why a checkpoint could not be saved.
    failure: Cell<Option<StoreError>>,
}

impl<'a> CheckpointedFit<'a> {
    /// A fit that calls `progress` with the fraction of steps that are done, and keeps its checkpoints in `file`.
    pub const fn new(progress: &'a dyn Fn(f64), file: CheckpointFile<'a>) -> Self {
        Self {
            progress,
            file,
            failure: Cell::new(None),
        }
    }

    /// The error of the stage if the fit ended with `error`: that of the disk if a checkpoint could not be saved.
    pub fn stage_error(&self, error: InferError) -> RunError {
        match self.failure.take() {
            Some(of_disk) => of_disk.into(),
            None => stage_error(error),
        }
    }
}

impl FitContext for CheckpointedFit<'_> {
    fn report_progress(&self, fraction: f64) {
        (self.progress)(fraction);
    }

    fn load_checkpoint(&self) -> Option<Vec<u8>> {
        self.file.load()
    }

    fn is_checkpoint_due(&self) -> bool {
        self.file.is_due()
    }

    fn save_checkpoint(&self, checkpoint: &[u8]) -> Result<(), InferError> {
        self.file.save(checkpoint).map_err(|error| {
            let message = error.to_string();
            self.failure.set(Some(error));
            InferError::Checkpoint { message }
        })
    }
}
