//! The executor that computes stages with libtorch.

use crate::context::Context;
use crate::error::RunError;
use crate::observations::{InputError, Observations};
use crate::plan::Plan;
use crate::run::{Executor, StageWorkspace};
use crate::stage_id::StageId;
use crate::stored_models::StoredModels;
use crate::work::Stage;
use gap_schema::Record;
use gap_spec::{CheckedSpec, FloatPrecision};
use gap_torch::device::DeviceName;
use std::path::Path;
use std::time::Duration;
use tch::Device;

/// The time from one checkpoint of a long stage to the next, seconds.
pub const DEFAULT_CHECKPOINT_SECONDS: u32 = 60;

/// Executes stages on one device. It holds the observations; each stage loads its own copy of a model, so that
/// workers share no model tensors.
pub struct LibtorchExecutor {
    device: Device,
    precision: FloatPrecision,
    observations: Observations,
    batch_size: usize,
    checkpoint_interval: Duration,
    stored_models: StoredModels,
}

impl LibtorchExecutor {
    /// Opens the device, reads the data, and checks that `spec` can run with them.
    ///
    /// # Errors
    ///
    /// [`InputError`], which names the key, file or flag at fault.
    pub fn prepare(
        spec: &CheckedSpec,
        device: DeviceName,
        data_dir: Option<&Path>,
    ) -> Result<Self, InputError> {
        Ok(Self {
            device: device.to_available_device()?,
            precision: spec.precision,
            observations: Observations::read(spec, data_dir)?,
            batch_size: spec.evaluation.batch_size.get() as usize,
            checkpoint_interval: Duration::from_secs(DEFAULT_CHECKPOINT_SECONDS as u64),
            stored_models: StoredModels::default(),
        })
    }

    /// This executor, whose long stages keep a checkpoint every `interval`.
    #[must_use]
    pub const fn with_checkpoint_interval(mut self, interval: Duration) -> Self {
        self.checkpoint_interval = interval;
        self
    }

    /// This executor, which takes models from `stored` where a stage says so.
    #[must_use]
    pub fn with_stored_models(mut self, stored: StoredModels) -> Self {
        self.stored_models = stored;
        self
    }

    /// Checks that the stored models which `plan` takes are those that its settings describe.
    ///
    /// # Errors
    ///
    /// [`InputError`] that names the file of one that is not.
    pub fn check_stored_models(&self, plan: &Plan) -> Result<(), InputError> {
        let observed = self.observations.observed();
        let mut taken = plan.model_works().filter(|work| work.stored.is_some());
        taken.try_for_each(|work| self.stored_models.check(work, observed))
    }

    /// A digest of the observations, for the provenance; `None` for synthetic ones, which the model determines.
    pub fn data_digest(&self) -> Option<String> {
        self.observations.digest()
    }
}

impl Executor for LibtorchExecutor {
    fn execute_stage(
        &self,
        id: &StageId,
        stage: &Stage,
        workspace: &StageWorkspace,
    ) -> Result<Vec<Record>, RunError> {
        stage.run(&Context {
            device: self.device,
            precision: self.precision,
            observations: &self.observations,
            batch_size: self.batch_size,
            store: workspace.store,
            stored_models: &self.stored_models,
            output: workspace.output,
            scratch: workspace.store.scratch(id.as_str()),
            checkpoint_interval: self.checkpoint_interval,
            threads: workspace.threads,
            progress: workspace.progress,
        })
    }
}
