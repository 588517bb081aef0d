//! Estimates `log p(x)` by annealing, with lower bounds.

use super::Work;
use crate::annealing::{AnnealedPaths, initial, initial_encoder};
use crate::chunk::{Chunk, QStarStage};
use crate::context::{Context, seed_key, take_rows};
use crate::error::RunError;
use crate::measure::{EVIDENCE_SEED_ROLE, RecordOrigin, evidence_records};
use crate::stage_id::StageId;
use gap_infer::family;
use gap_schema::Record;
use gap_spec::{AnnealedSpec, Family};
use serde::Serialize;

/// Estimates `log p(x)` by annealing, with lower bounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnnealedWork {
    /// The seed of this repetition.
    pub seed: u32,
    /// The frozen model.
    pub model: StageId,
    /// The stage whose `q*` the paths begin at, and its family; `None` if they begin elsewhere.
    pub free_form: Option<(QStarStage, Family)>,
    /// The points.
    pub points: Chunk,
    /// The settings of annealing.
    pub annealed: AnnealedSpec,
}

impl Work for AnnealedWork {
    fn seed(&self) -> u32 {
        self.seed
    }

    fn input_stages(&self) -> Vec<&StageId> {
        std::iter::once(&self.model)
            .chain(self.free_form.iter().map(|(found, _)| &found.stage))
            .collect()
    }

    fn task_description(&self) -> String {
        format!("anneal {} points", self.points.split)
    }

    fn task_description_with_points(&self) -> String {
        format!("anneal {}", self.points)
    }

    fn run(&self, context: &Context) -> Result<Vec<Record>, RunError> {
        let model = context.load_model(&self.model)?;
        let latent_dim = model.latent_dim();
        let points = context.points(self.seed, model.as_ref(), self.points)?;
        let q_star = match &self.free_form {
            Some((found, family)) => Some((
                family::build_family(*family, latent_dim),
                context.q_star(found, self.points.range())?,
            )),
            None => None,
        };
        let companion = initial_encoder(&self.annealed, &self.model, context)?;
        let paths = AnnealedPaths::new(
            &self.annealed,
            seed_key(self.seed).for_role(EVIDENCE_SEED_ROLE),
        );
        let origin = RecordOrigin {
            dataset: context.observations.name(),
            split: self.points.split,
            seed: self.seed,
            model: self.model.as_str(),
            // Plans of several families share this stage if its paths do not begin at `q*`, so
            // `collect_records` sets the family.
            family: Family::DiagonalGaussian,
            latent_dim: model.latent_dim() as usize,
            encoder: None,
        };
        context.measure_in_batches(&points, |batch, from, progress| {
            let own = q_star
                .as_ref()
                .map(|(family, all)| (family.as_ref(), take_rows(all, from, batch.len())));
            let own = own.as_ref().map(|(family, params)| (*family, params));
            let initial = initial(&self.annealed, own, companion.as_ref(), batch, latent_dim);
            let forward = paths.forward(model.as_ref(), &initial, batch, progress)?;
            Ok(evidence_records(&origin, vec![forward], batch))
        })
    }
}
