//! Models and encoders that are made or fitted, and kept for the stages after them.

use super::build::{self, ENCODER, MODEL, save_fit};
use super::{LibtorchExecutor, failed, save};
use crate::plan::StageId;
use crate::run::{RunError, Workspace};
use gap_infer::train::{fit_encoder, fit_jointly};
use gap_schema::spec::{EncoderSpec, TrainingSpec};
use gap_torch::SeedKey;
use gap_torch::checkpoint::Checkpoint;

impl LibtorchExecutor {
    pub(super) fn make_model(
        &self,
        seed: u32,
        joint_encoder: Option<&EncoderSpec>,
        workspace: &Workspace,
    ) -> Result<(), RunError> {
        let key = SeedKey::root(u64::from(seed));
        let observed_dim = self.observations.observed_dim();
        let mut checkpoint = Checkpoint::new();
        let Some(training) = &self.spec.model.training else {
            build::random_model(&self.spec, observed_dim, key, self.device).store(&mut checkpoint);
            return save(&checkpoint, &workspace.output.join(MODEL));
        };
        let training = training.get_ref();
        let encoder_spec = build::companion(joint_encoder, training);
        let mut decoder = build::random_decoder(&self.spec, observed_dim, key, self.device);
        let family = self.family();
        let mut encoder = build::random_encoder(
            &encoder_spec,
            observed_dim,
            &family,
            key.role("companion"),
            self.device,
        );
        let data = self.observations.training_points(seed, None)?;
        let cost = fit_jointly(
            &mut decoder,
            &family,
            &mut encoder,
            &data,
            build::training(&training.optimizer(), workspace.threads),
            key.role("fit-jointly").role(&encoder_spec.name()),
            workspace.progress,
        )
        .map_err(failed)?;
        decoder.network().store(&mut checkpoint, "decoder");
        save(&checkpoint, &workspace.output.join(MODEL))?;
        let mut checkpoint = Checkpoint::new();
        encoder.network().store(&mut checkpoint, "encoder");
        save(&checkpoint, &workspace.output.join(ENCODER))?;
        save_fit(workspace.output, cost.into())
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
        let mut encoder =
            build::random_encoder(spec, data.observed_dim(), &family, init, self.device);
        // All encoders of a seed see the same minibatches and noise: their differences are paired.
        let cost = fit_encoder(
            model.as_ref(),
            &family,
            &mut encoder,
            &data,
            build::training(training, workspace.threads),
            key.role("fit-encoder"),
            workspace.progress,
        )
        .map_err(failed)?;
        let mut checkpoint = Checkpoint::new();
        encoder.network().store(&mut checkpoint, "encoder");
        save(&checkpoint, &workspace.output.join(ENCODER))?;
        save_fit(workspace.output, cost.into())
    }
}
