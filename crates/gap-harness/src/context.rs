//! What a piece of work is given to run on, besides what it holds itself.

use crate::chunk::Chunk;
use crate::encoders::{self, FittedEncoder};
use crate::error::{RunError, stage_error};
use crate::models;
use crate::observations::Observations;
use crate::stage_id::StageId;
use crate::store::Store;
use gap_data::{Batch, Dataset};
use gap_infer::VariationalParams;
use gap_model::LatentVariableModel;
use gap_schema::Record;
use gap_torch::SeedKey;
use gap_torch::checkpoint::Checkpoint;
use std::ops::Range;
use std::path::Path;
use tch::{Device, Tensor};

/// What a piece of work runs on.
pub struct Context<'a> {
    /// Where tensors are.
    pub device: Device,
    /// The observations of the problem.
    pub observations: &'a Observations,
    /// Datapoints at a time. No number depends on it.
    pub batch_size: usize,
    /// The folders of the stages before.
    pub store: &'a Store,
    /// A folder of the work's own; what it leaves there is published with its records.
    pub output: &'a Path,
    /// Threads that it may put to use. No number depends on it.
    pub threads: usize,
    /// To be told the fraction that is done.
    pub progress: &'a (dyn Fn(f64) + Sync),
}

/// `λ` of all points of a stage, `[N, Q]`, in its folder.
const Q_STAR_FILE: &str = "q-star.safetensors";
const Q_STAR_KEY: &str = "free_form.params";

impl Context<'_> {
    /// The frozen model of a finished stage.
    pub fn load_model(&self, stage: &StageId) -> Result<Box<dyn LatentVariableModel>, RunError> {
        models::load_model(&self.store.stage_folder(stage), self.device)
    }

    /// The encoder of a finished stage: the one that was fitted there, or with its model.
    pub fn load_encoder(&self, stage: &StageId) -> Result<FittedEncoder, RunError> {
        encoders::load_encoder(&self.store.stage_folder(stage), self.device)
    }

    /// The points of a chunk, under the model of a seed.
    pub fn points(
        &self,
        seed: u32,
        model: &dyn LatentVariableModel,
        chunk: Chunk,
    ) -> Result<Dataset, RunError> {
        self.observations.measured_points(seed, model, chunk)
    }

    /// Keeps `λ` of all points of a stage, a batch after another, for the stages that begin at them.
    pub fn save_q_star(&self, batches: &[Tensor]) -> Result<(), RunError> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.insert(Q_STAR_KEY, &Tensor::cat(batches, 0));
        checkpoint
            .save(&self.output.join(Q_STAR_FILE))
            .map_err(stage_error)
    }

    /// `λ` of some of the points of a finished stage.
    pub fn q_star(
        &self,
        stage: &StageId,
        points: Range<u32>,
    ) -> Result<VariationalParams, RunError> {
        let path = self.store.stage_folder(stage).join(Q_STAR_FILE);
        let checkpoint = Checkpoint::load(&path).map_err(stage_error)?;
        let all = checkpoint
            .get(Q_STAR_KEY, self.device)
            .map_err(stage_error)?;
        let (from, n) = (i64::from(points.start), points.len() as i64);
        Ok(VariationalParams(all.narrow(0, from, n)))
    }

    /// `measure` over the points, a batch at a time; no result depends on the batch size. It is given the
    /// position of the batch's first point, and may tell the fraction of the batch that is done.
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

/// The key below which all draws of a repetition are.
pub const fn seed_key(seed: u32) -> SeedKey {
    SeedKey::root(seed as u64)
}

/// Rows `from..from + n` of `params`.
pub fn take_rows(params: &VariationalParams, from: usize, n: usize) -> VariationalParams {
    VariationalParams(params.0.narrow(0, from as i64, n as i64))
}
