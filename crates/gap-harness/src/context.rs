//! What a piece of work needs to run, besides its own settings.

use crate::checkpoints::{CheckpointFile, CheckpointedFit};
use crate::chunk::{Chunk, QStarStage};
use crate::encoders::{self, FittedEncoder};
use crate::error::{RunError, stage_error};
use crate::models;
use crate::observations::Observations;
use crate::stage_id::StageId;
use crate::stored_models::StoredModels;
use gap_data::{Batch, Dataset};
use gap_infer::VariationalParams;
use gap_model::LatentVariableModel;
use gap_schema::{Record, RowFile, rows_file};
use gap_spec::FloatPrecision;
use gap_store::{Scratch, StageInput, StageOutput, Store};
use gap_torch::SeedKey;
use gap_torch::checkpoint::Checkpoint;
use std::ops::Range;
use std::time::Duration;
use tch::{Device, Tensor};

/// What a piece of work needs to run, besides its own settings.
pub struct Context<'a> {
    /// The device that tensors are on.
    pub device: Device,
    /// The numbers that everything is inferred and measured with.
    pub precision: FloatPrecision,
    /// The observations of the problem.
    pub observations: &'a Observations,
    /// The number of datapoints that are computed together. No result depends on it.
    pub batch_size: usize,
    /// The results folder, with the files of finished stages.
    pub store: &'a Store,
    /// Models that are taken in place of fits.
    pub stored_models: &'a StoredModels,
    /// The files of this work, which are published with its records.
    pub output: &'a StageOutput,
    /// What this work keeps until it is published.
    pub scratch: Scratch,
    /// The time from one checkpoint of a long work to the next. No result depends on it.
    pub checkpoint_interval: Duration,
    /// The number of threads that the work may use. No result depends on it.
    pub threads: usize,
    /// The function to call with the fraction of the work that is done.
    pub progress: &'a (dyn Fn(f64) + Sync),
}

/// The file with `λ` of all points of a stage, `[N, Q]`.
const Q_STAR_FILE: &str = "q-star.safetensors";
const Q_STAR_KEY: &str = "free_form.params";

/// The file with the latest checkpoint of a fit.
const FIT_CHECKPOINT: &str = "fit";

impl Context<'_> {
    /// The checkpoints of a piece of work of this stage, in the scratch file `name`.
    pub fn checkpoint_file(&self, name: &'static str) -> CheckpointFile<'_> {
        let interval = self.checkpoint_interval;
        CheckpointFile::new(self.scratch.clone(), self.output, name, interval)
    }

    /// What surrounds the fit of this stage.
    pub fn checkpointed_fit(&self) -> CheckpointedFit<'_> {
        CheckpointedFit::new(self.progress, self.checkpoint_file(FIT_CHECKPOINT))
    }

    /// The files of a finished stage.
    pub fn stage_input<'s>(&'s self, stage: &'s StageId) -> StageInput<'s> {
        StageInput::new(self.store, stage.as_str())
    }

    /// Adds rows to the files of this stage.
    pub fn save_rows<T: RowFile>(&self, rows: &[T]) -> Result<(), RunError> {
        let csv = rows_file::rows_to_csv(rows).map_err(stage_error)?;
        self.output.add(T::FILE_NAME, csv);
        Ok(())
    }

    /// Loads the frozen model of a finished stage, with numbers of the precision of the experiment.
    pub fn load_model(&self, stage: &StageId) -> Result<Box<dyn LatentVariableModel>, RunError> {
        models::load_model(self.stage_input(stage), self.precision, self.device)
    }

    /// Loads the frozen model of a finished stage to fit something to it, which is done in 32 bits.
    pub fn load_model_for_fit(
        &self,
        stage: &StageId,
    ) -> Result<Box<dyn LatentVariableModel>, RunError> {
        models::load_model(self.stage_input(stage), FloatPrecision::Single, self.device)
    }

    /// Loads the encoder of a finished stage, which fitted it alone or jointly with a model.
    pub fn load_encoder(&self, stage: &StageId) -> Result<FittedEncoder, RunError> {
        encoders::load_encoder(self.stage_input(stage), self.device)
    }

    /// The points of a chunk, with numbers of the model's kind; synthetic and simulated ones are drawn from `model`
    /// with `seed`.
    pub fn points(
        &self,
        seed: u32,
        model: &dyn LatentVariableModel,
        chunk: Chunk,
    ) -> Result<Dataset, RunError> {
        let points = self.observations.measured_points(seed, model, chunk)?;
        Ok(points.to_kind(model.kind()))
    }

    /// Writes `λ` of all points of this stage, given in batches, to a file that later stages read.
    pub fn save_q_star(&self, batches: &[Tensor]) -> Result<(), RunError> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.insert(Q_STAR_KEY, &Tensor::cat(batches, 0));
        let bytes = checkpoint.to_bytes().map_err(stage_error)?;
        self.output.add(Q_STAR_FILE, bytes);
        Ok(())
    }

    /// Loads `λ` of the points at the positions `points` of a part of the data, which are among those of `found`.
    pub fn q_star(
        &self,
        found: &QStarStage,
        points: Range<u32>,
    ) -> Result<VariationalParams, RunError> {
        let bytes = self.stage_input(&found.stage).read(Q_STAR_FILE)?;
        let checkpoint = Checkpoint::from_bytes(&bytes).map_err(stage_error)?;
        let all = checkpoint
            .get(Q_STAR_KEY, self.device)
            .map_err(stage_error)?;
        let from = i64::from(points.start - found.points.from);
        let n = points.len() as i64;
        Ok(VariationalParams(all.narrow(0, from, n)))
    }

    /// Calls `measure` on each batch of the points, and collects the records; no result depends on the batch
    /// size. The arguments of `measure` are the batch, the position of its first point, and a function to call
    /// with the fraction of the batch that is done.
    pub fn measure_in_batches(
        &self,
        points: &Dataset,
        mut measure: impl FnMut(&Batch, usize, &dyn Fn(f64)) -> Result<Vec<Record>, RunError>,
    ) -> Result<Vec<Record>, RunError> {
        let mut records = Vec::new();
        let mut done = 0;
        for batch in points.batches(self.batch_size, self.device) {
            let progress = |fraction: f64| {
                let done = fraction.mul_add(batch.len() as f64, done as f64);
                (self.progress)(done / points.len() as f64);
            };
            records.extend(measure(&batch, done, &progress)?);
            progress(1.0);
            done += batch.len();
        }
        Ok(records)
    }
}

/// The key from which the keys of all draws of a repetition are derived.
pub const fn seed_key(seed: u32) -> SeedKey {
    SeedKey::root(seed as u64)
}

/// Rows `from..from + n` of `params`.
pub fn take_rows(params: &VariationalParams, from: usize, n: usize) -> VariationalParams {
    VariationalParams(params.0.narrow(0, from as i64, n as i64))
}
