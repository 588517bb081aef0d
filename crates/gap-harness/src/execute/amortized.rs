//! An encoder's `q` and its refinements, measured.

use super::encoders::load_fit;
use super::measure::Measurement;
use super::{LibtorchExecutor, Measured, settings};
use crate::plan::StageId;
use crate::run::{RunError, Workspace};
use gap_infer::Refined;
use gap_schema::Record;
use gap_schema::record::EncoderLabel;
use gap_schema::spec::{EncoderSpec, RefinementSpec};

impl LibtorchExecutor {
    pub(super) fn amortized(
        &self,
        measured: Measured,
        encoder_stage: &StageId,
        spec: &EncoderSpec,
        refinement: &RefinementSpec,
        workspace: &Workspace,
    ) -> Result<Vec<Record>, RunError> {
        let model = self.model(measured.model, workspace.store)?;
        let points = self.points(measured, model.as_ref())?;
        let folder = workspace.store.stage_folder(encoder_stage);
        let family = self.family();
        let plan = self.encoder_plan(spec, family);
        let encoder = plan.load(&folder, self.device)?;
        let label = EncoderLabel {
            kind: spec.kind,
            hidden: spec.widths(),
            weights: encoder.network().n_weights(),
            context: plan.context(),
        };
        let refined = Refined {
            family,
            encoder: &encoder,
            phase: settings::refinement(refinement),
            steps: refinement.numbers_of_steps(),
        };
        let measurement = Measurement {
            model: model.as_ref(),
            family,
            estimators: measured.estimators,
            key: measured.key(),
            origin: self.origin(measured, Some(label), load_fit(&folder)?),
        };
        self.in_batches(&points, workspace, |batch, _| {
            measurement.amortized(&refined, batch)
        })
    }
}
