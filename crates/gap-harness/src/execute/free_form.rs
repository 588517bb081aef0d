//! `q*` of each datapoint: found, measured, and kept for the stages that begin at it.

use super::encoders::Fit;
use super::measure::Measurement;
use super::{LibtorchExecutor, Measured, failed, save, settings};
use crate::plan::StageId;
use crate::run::{RunError, Workspace};
use gap_infer::free_form::StartingPoint;
use gap_infer::{Encoder, FreeForm, VariationalParams};
use gap_model::LatentVariableModel;
use gap_schema::Record;
use gap_schema::spec::{EncoderSpec, FreeFormSpec, Start};
use gap_torch::checkpoint::Checkpoint;
use std::ops::Range;
use tch::Tensor;

/// `λ` of all points of a stage, `[N, Q]`, in its folder.
const Q_STAR: &str = "q-star.safetensors";
const PARAMS: &str = "free_form.params";

/// Where the searches of an experiment start: the encoder is there if one of them starts from it.
pub(super) struct Starts<'a> {
    pub starts: &'a [Start],
    pub companion: Option<Encoder>,
}

impl LibtorchExecutor {
    pub(super) fn free_form(
        &self,
        measured: Measured,
        joint_encoder: Option<&EncoderSpec>,
        spec: &FreeFormSpec,
        workspace: &Workspace,
    ) -> Result<Vec<Record>, RunError> {
        let model = self.model(measured.model, workspace.store)?;
        let points = self.points(measured, model.as_ref())?;
        let starts = self.starts(measured.model, joint_encoder, workspace)?;
        let search = self.search(spec, &starts);
        let measurement = self.measurement_of_model(measured, model.as_ref());
        let mut params = Vec::new();
        let records = self.in_batches(&points, workspace, |batch, _| {
            let (records, of_batch) = measurement.free_form(&search, starts.starts, batch)?;
            params.push(of_batch.0);
            Ok(records)
        })?;
        let mut checkpoint = Checkpoint::new();
        checkpoint.insert(PARAMS, &Tensor::cat(&params, 0));
        save(&checkpoint, &workspace.output.join(Q_STAR))?;
        Ok(records)
    }

    /// `λ` of some of the points of a finished stage.
    pub(super) fn q_star(
        &self,
        stage: &StageId,
        points: Range<u32>,
        workspace: &Workspace,
    ) -> Result<VariationalParams, RunError> {
        let path = workspace.store.stage_folder(stage).join(Q_STAR);
        let checkpoint = Checkpoint::load(&path).map_err(failed)?;
        let all = checkpoint.get(PARAMS, self.device).map_err(failed)?;
        let (from, n) = (i64::from(points.start), points.len() as i64);
        Ok(VariationalParams(all.narrow(0, from, n)))
    }

    pub(super) fn starts(
        &self,
        model: &StageId,
        joint_encoder: Option<&EncoderSpec>,
        workspace: &Workspace,
    ) -> Result<Starts<'_>, RunError> {
        let starts = self.spec.free_form_starts();
        let companion = if starts.contains(&Start::Encoder) {
            Some(self.companion(model, joint_encoder, workspace.store)?)
        } else {
            None
        };
        Ok(Starts { starts, companion })
    }

    pub(super) fn search<'a>(&'a self, spec: &FreeFormSpec, starts: &'a Starts) -> FreeForm<'a> {
        let from = |start: &Start| match (start, &starts.companion) {
            (Start::Encoder, Some(encoder)) => StartingPoint::Encoder(encoder),
            _ => StartingPoint::Prior,
        };
        FreeForm {
            family: self.family(),
            starts: starts.starts.iter().map(from).collect(),
            search: settings::search(spec),
            tolerance_nats: spec.tolerance_nats.get_ref().get(),
            max_steps: spec.max_steps.get(),
            precision: settings::precision(spec.precision),
        }
    }

    /// Measures what no encoder of the experiment takes part in.
    pub(super) fn measurement_of_model<'a>(
        &'a self,
        measured: Measured,
        model: &'a dyn LatentVariableModel,
    ) -> Measurement<'a> {
        Measurement {
            model,
            family: self.family(),
            estimators: measured.estimators,
            key: measured.key(),
            origin: self.origin(measured, None, Fit::default()),
        }
    }
}
