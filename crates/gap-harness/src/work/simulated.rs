//! Estimates `log p(x)` with lower and upper bounds, and finds `q*`, for points that are drawn from the model.

use super::Work;
use crate::annealing::{AnnealedPaths, initial, initial_encoder};
use crate::chunk::Chunk;
use crate::context::{Context, seed_key};
use crate::error::RunError;
use crate::measure::{EVIDENCE_SEED_ROLE, Measurement, RecordOrigin, evidence_records};
use crate::observations::simulated_points;
use crate::stage_id::StageId;
use crate::starts::Starts;
use gap_infer::family;
use gap_schema::Record;
use gap_spec::{AnnealedSpec, BoundSpec, Family, FreeFormSpec};
use gap_torch::to_f64_values;
use serde::Serialize;

/// Estimates `log p(x)` by annealing, with lower and upper bounds, on points that are drawn from the model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimulatedWork {
    /// The seed of this repetition.
    pub seed: u32,
    /// The frozen model.
    pub model: StageId,
    /// The variational family.
    pub family: Family,
    /// The points.
    pub points: Chunk,
    /// How `q*` is found.
    pub search: FreeFormSpec,
    /// How bounds are estimated.
    pub bounds: BoundSpec,
    /// The settings of annealing.
    pub annealed: AnnealedSpec,
}

impl Work for SimulatedWork {
    fn seed(&self) -> u32 {
        self.seed
    }

    fn input_stages(&self) -> Vec<&StageId> {
        vec![&self.model]
    }

    fn task_description(&self) -> String {
        format!("both sides of {} points", self.points.split)
    }

    fn task_description_with_points(&self) -> String {
        format!("both sides of {}", self.points)
    }

    fn run(&self, context: &Context) -> Result<Vec<Record>, RunError> {
        let model = context.load_model(&self.model)?;
        let family = family::build_family(self.family, model.latent_dim());
        let ids = self.points.range();
        let ids = u64::from(ids.start)..u64::from(ids.end);
        let (points, z) = simulated_points(self.seed, model.as_ref(), ids)?;
        let z = to_f64_values(&z);
        let starts = Starts::load(self.search.starts(), &self.model, context)?;
        let companion = initial_encoder(&self.annealed, &self.model, context)?;
        let key = seed_key(self.seed);
        let search = starts.search(&self.search, family.as_ref(), key);
        let paths = AnnealedPaths::new(&self.annealed, key.for_role(EVIDENCE_SEED_ROLE));
        let measurement = Measurement {
            model: model.as_ref(),
            family: family.as_ref(),
            bounds: self.bounds,
            key,
            origin: RecordOrigin {
                dataset: context.observations.name(),
                split: self.points.split,
                seed: self.seed,
                model: self.model.as_str(),
                family: self.family,
                latent_dim: model.latent_dim() as usize,
                encoder: None,
            },
        };
        let dim = model.latent_dim() as usize;
        context.measure_in_batches(&points, |batch, from, progress| {
            let z = &z[from * dim..(from + batch.len()) * dim];
            let (mut records, q_star) =
                measurement.free_form(&search, None, &|i| starts.name_of_start(i), batch)?;
            let own = Some((family.as_ref(), &q_star));
            let initial = initial(
                &self.annealed,
                own,
                companion.as_ref(),
                batch,
                family.latent_dim(),
            );
            let first = |fraction: f64| progress(0.5 * fraction);
            let second = |fraction: f64| progress(0.5f64.mul_add(fraction, 0.5));
            let forward = paths.forward(model.as_ref(), &initial, batch, &first)?;
            let reverse = paths.reverse(model.as_ref(), &initial, (batch, z), &second)?;
            let both = vec![forward, reverse];
            records.extend(evidence_records(&measurement.origin, both, batch));
            Ok(records)
        })
    }
}
