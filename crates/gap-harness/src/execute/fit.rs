//! Models and encoders that are made or fitted, and kept for the stages after them.

use super::models::{self, Model};
use super::{LibtorchExecutor, encoders, failed, settings};
use crate::plan::StageId;
use crate::run::{RunError, Workspace};
use gap_infer::train::{fit_encoder, fit_jointly};
use gap_schema::spec::{EncoderSpec, TrainingSpec};
use gap_torch::SeedKey;

impl LibtorchExecutor {
    pub(super) fn make_model(
        &self,
        seed: u32,
        joint_encoder: Option<&EncoderSpec>,
        workspace: &Workspace,
    ) -> Result<(), RunError> {
        let key = SeedKey::root(u64::from(seed));
        let observed = self.observations.observed();
        let Some(training) = &self.spec.model.training else {
            return Model::random(&self.spec, observed, key, self.device).save(workspace.output);
        };
        let training = training.get_ref();
        let spec = encoders::companion(joint_encoder, training);
        let mut decoder = models::random_decoder(&self.spec, observed, key, self.device);
        let family = self.companion_family();
        let plan = self.encoder_plan(&spec, family);
        let mut encoder = plan.random(key.role("companion"), self.device);
        let data = self.observations.training_points(seed, None)?;
        let cost = fit_jointly(
            &mut decoder,
            family,
            &mut encoder,
            &data,
            settings::training(&training.optimizer(), workspace.threads),
            key.role("fit-jointly").role(&spec.name()),
            workspace.progress,
        )
        .map_err(failed)?;
        Model::Decoder(decoder).save(workspace.output)?;
        encoders::save(&encoder, cost, workspace.output)
    }

    pub(super) fn make_encoder(
        &self,
        seed: u32,
        model: &StageId,
        spec: &EncoderSpec,
        training: &TrainingSpec,
        workspace: &Workspace,
    ) -> Result<(), RunError> {
        let key = SeedKey::root(u64::from(seed));
        let model = self.model(model, workspace.store)?;
        let family = self.family();
        let data = self
            .observations
            .training_points(seed, Some(model.as_ref()))?;
        let init = key.role("encoder").role(&spec.name());
        let plan = self.encoder_plan(spec, family);
        let mut encoder = if self.observations.are_drawn() {
            plan.random_for(&data, init, self.device)
        } else {
            plan.random(init, self.device)
        };
        // All encoders of a seed see the same minibatches and noise: their differences are paired.
        let cost = fit_encoder(
            model.as_ref(),
            family,
            &mut encoder,
            &data,
            settings::training(training, workspace.threads),
            key.role("fit-encoder"),
            workspace.progress,
        )
        .map_err(failed)?;
        encoders::save(&encoder, cost, workspace.output)
    }
}
