//! Measures an encoder's `q`, and its refinements.

use super::Work;
use crate::chunk::Chunk;
use crate::context::{Context, seed_key};
use crate::error::RunError;
use crate::measure::{Measurement, RecordOrigin};
use crate::stage_id::StageId;
use gap_infer::RefinedInference;
use gap_schema::Record;
use gap_spec::{BoundSpec, EncoderSpec, Family, RefinementSpec};
use serde::Serialize;
use std::collections::BTreeMap;

/// Measures an encoder's `q`, and its refinements.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AmortizedWork {
    /// The seed of this repetition.
    pub seed: u32,
    /// The frozen model.
    pub model: StageId,
    /// The variational family.
    pub family: Family,
    /// The stage that fitted the encoder: a stage of its own, or the model's stage if the two were fitted
    /// jointly.
    pub encoder_stage: StageId,
    /// The encoder.
    pub encoder: EncoderSpec,
    /// The points.
    pub points: Chunk,
    /// How `q` is refined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refinement: Option<RefinementSpec>,
    /// Further refinements, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refinements: BTreeMap<String, RefinementSpec>,
    /// How bounds are estimated.
    pub bounds: BoundSpec,
}

impl Work for AmortizedWork {
    fn seed(&self) -> u32 {
        self.seed
    }

    fn input_stages(&self) -> Vec<&StageId> {
        let mut inputs = vec![&self.model, &self.encoder_stage];
        inputs.dedup();
        inputs
    }

    fn task_description(&self) -> String {
        format!(
            "measure {}, {} points",
            self.encoder.name(),
            self.points.split
        )
    }

    fn task_description_with_points(&self) -> String {
        format!("measure {}, {}", self.encoder.name(), self.points)
    }

    fn run(&self, context: &Context) -> Result<Vec<Record>, RunError> {
        let model = context.load_model(&self.model)?;
        let points = context.points(self.seed, model.as_ref(), self.points)?;
        let fitted = context.load_encoder(&self.encoder_stage)?;
        let family = fitted.family.as_ref();
        let named = self.refinements.iter();
        let named = named.map(|(name, refinement)| (Some(name.as_str()), refinement));
        let unnamed = self.refinement.iter().map(|refinement| (None, refinement));
        let all = unnamed.chain(named);
        let refined = all.map(|(name, refinement)| {
            let refined = RefinedInference {
                family,
                encoder: &fitted.encoder,
                phase: refinement.phase(self.family),
                steps: refinement.numbers_of_steps(),
            };
            (name, refined)
        });
        let refined: Vec<_> = refined.collect();
        let measurement = Measurement {
            model: model.as_ref(),
            family,
            bounds: self.bounds,
            key: seed_key(self.seed),
            origin: RecordOrigin {
                dataset: context.observations.name(),
                split: self.points.split,
                seed: self.seed,
                model: self.model.as_str(),
                family: self.family,
                latent_dim: model.latent_dim() as usize,
                encoder: Some((&fitted.label, fitted.fit)),
            },
        };
        context.measure_in_batches(&points, |batch, _, _| {
            measurement.amortized(&fitted.encoder, &refined, batch)
        })
    }
}
