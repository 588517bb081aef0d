//! Finds, saves and measures `q*` of each datapoint.

use super::Work;
use crate::chunk::Chunk;
use crate::context::{Context, seed_key};
use crate::error::RunError;
use crate::measure::{Measurement, RecordOrigin};
use crate::search_checkpoint::{SEARCH_CHECKPOINT, SearchProgress};
use crate::stage_id::StageId;
use crate::starts::Starts;
use gap_infer::family;
use gap_schema::Record;
use gap_spec::{BoundSpec, Family, FreeFormSpec};
use serde::Serialize;

/// Finds, saves and measures `q*`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FreeFormWork {
    /// The seed of this repetition.
    pub seed: u32,
    /// The frozen model.
    pub model: StageId,
    /// The variational family.
    pub family: Family,
    /// The points.
    pub points: Chunk,
    /// The name of the protocol; `None` for the search of `q*` itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// How `q` is found.
    pub search: FreeFormSpec,
    /// How bounds are estimated.
    pub bounds: BoundSpec,
}

impl Work for FreeFormWork {
    fn seed(&self) -> u32 {
        self.seed
    }

    fn input_stages(&self) -> Vec<&StageId> {
        vec![&self.model]
    }

    fn task_description(&self) -> String {
        format!("{}, {} points", self.name(), self.points.split)
    }

    fn task_description_with_points(&self) -> String {
        format!("{}, {}", self.name(), self.points)
    }

    fn run(&self, context: &Context) -> Result<Vec<Record>, RunError> {
        let model = context.load_model(&self.model)?;
        let family = family::build_family(self.family, model.latent_dim());
        let points = context.points(self.seed, model.as_ref(), self.points)?;
        let starts = Starts::load(self.search.starts(), &self.model, context)?;
        let search = starts.search(&self.search, family.as_ref(), seed_key(self.seed));
        let measurement = Measurement {
            model: model.as_ref(),
            family: family.as_ref(),
            bounds: self.bounds,
            key: seed_key(self.seed),
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
        let checkpoint = context.checkpoint_file(SEARCH_CHECKPOINT);
        let mut done = SearchProgress::load(&checkpoint, context.device);
        let n_done = done.n_done().min(points.len());
        for batch in points.batches_from(n_done, context.batch_size, context.device) {
            let (records, of_batch) = measurement.free_form(
                &search,
                self.protocol.as_deref(),
                &|i| starts.name_of_start(i),
                &batch,
            )?;
            done.records.extend(records);
            done.params.push(of_batch.0);
            (context.progress)(done.n_done() as f64 / points.len() as f64);
            if checkpoint.is_due() && done.n_done() < points.len() {
                done.save(&checkpoint)?;
            }
        }
        if self.protocol.is_none() {
            context.save_q_star(&done.params)?;
        }
        Ok(done.records)
    }
}

impl FreeFormWork {
    fn name(&self) -> String {
        match &self.protocol {
            None => "free-form".to_owned(),
            Some(name) => format!("protocol {name}"),
        }
    }
}
