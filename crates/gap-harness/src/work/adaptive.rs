//! Estimates lower bounds of `log p(x)` from as many draws of `q*` as the target standard error needs.

use super::Work;
use crate::chunk::QStarStage;
use crate::context::{Context, seed_key, take_rows};
use crate::error::{RunError, stage_error};
use crate::measure::{BatchEstimates, EVIDENCE_SEED_ROLE, RecordOrigin, evidence_records};
use crate::stage_id::StageId;
use gap_estimate::estimate_adaptively;
use gap_infer::family;
use gap_schema::Record;
use gap_spec::{AdaptiveSpec, Estimator, Family};
use serde::Serialize;

/// Estimates `log p(x)` from as many draws of `q*` as the target standard error needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdaptiveWork {
    /// The seed of this repetition.
    pub seed: u32,
    /// The frozen model.
    pub model: StageId,
    /// The variational family.
    pub family: Family,
    /// The stage that found `q*` of the points.
    pub free_form: QStarStage,
    /// The settings of the adaptive estimator.
    pub adaptive: AdaptiveSpec,
}

impl Work for AdaptiveWork {
    fn seed(&self) -> u32 {
        self.seed
    }

    fn input_stages(&self) -> Vec<&StageId> {
        vec![&self.model, &self.free_form.stage]
    }

    fn task_description(&self) -> String {
        format!("weigh adaptively, {} points", self.free_form.points.split)
    }

    fn task_description_with_points(&self) -> String {
        format!("weigh adaptively, {}", self.free_form.points)
    }

    fn run(&self, context: &Context) -> Result<Vec<Record>, RunError> {
        let model = context.load_model(&self.model)?;
        let family = family::build_family(self.family, model.latent_dim());
        let chunk = self.free_form.points;
        let points = context.points(self.seed, model.as_ref(), chunk)?;
        let q_star = context.q_star(&self.free_form, chunk.range())?;
        let key = seed_key(self.seed)
            .for_role(EVIDENCE_SEED_ROLE)
            .for_role("adaptive");
        let origin = RecordOrigin {
            dataset: context.observations.name(),
            split: chunk.split,
            seed: self.seed,
            model: self.model.as_str(),
            family: self.family,
            latent_dim: model.latent_dim() as usize,
            encoder: None,
        };
        context.measure_in_batches(&points, |batch, from, _| {
            let own = take_rows(&q_star, from, batch.len());
            let (settings, family) = (&self.adaptive, family.as_ref());
            let estimates = estimate_adaptively(settings, model.as_ref(), family, &own, batch, key);
            let answers = BatchEstimates {
                estimator: Estimator::AdaptiveImportanceWeighted,
                estimates: estimates.map_err(stage_error)?,
            };
            Ok(evidence_records(&origin, vec![answers], batch))
        })
    }
}
