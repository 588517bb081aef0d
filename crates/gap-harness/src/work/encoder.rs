//! Fits an encoder to a frozen model.

use super::Work;
use crate::context::{Context, seed_key};
use crate::encoders::{self, EncoderFit, EncoderLayout};
use crate::error::RunError;
use crate::stage_id::StageId;
use gap_infer::train::fit_encoder;
use gap_infer::{ModelDuringFit, family};
use gap_schema::Record;
use gap_spec::{EncoderSpec, Family, TrainingSpec};
use serde::Serialize;

/// Fits an encoder to a frozen model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EncoderWork {
    /// The seed of this repetition.
    pub seed: u32,
    /// The frozen model.
    pub model: StageId,
    /// The variational family.
    pub family: Family,
    /// The encoder.
    pub encoder: EncoderSpec,
    /// How it is fitted.
    pub training: TrainingSpec,
}

impl Work for EncoderWork {
    fn seed(&self) -> u32 {
        self.seed
    }

    fn input_stages(&self) -> Vec<&StageId> {
        vec![&self.model]
    }

    fn task_description(&self) -> String {
        format!("fit {}", self.encoder.name())
    }

    fn depends_on_precision(&self) -> bool {
        false
    }

    fn run(&self, context: &Context) -> Result<Vec<Record>, RunError> {
        let key = seed_key(self.seed);
        let model = context.load_model_for_fit(&self.model)?;
        let family = family::build_family(self.family, model.latent_dim());
        let observations = context.observations;
        let data = observations.training_points(self.seed, Some(model.as_ref()))?;
        let layout = EncoderLayout {
            encoder: self.encoder.clone(),
            observed: observations.observed(),
            family: self.family,
            latent_dim: model.latent_dim(),
        };
        // Encoders that differ in their objective alone start from the same weights.
        let init = key.for_role("encoder");
        let init = init.for_role(&self.encoder.network_name());
        let (mut encoder, constant_inputs) =
            layout.for_fitting(&data, ModelDuringFit::Frozen, init, context.device);
        // All encoders of a seed that are fitted by one objective see the same minibatches and noise, so that their
        // differences are paired.
        let fit = context.checkpointed_fit();
        let cost = fit_encoder(
            model.as_ref(),
            family.as_ref(),
            &mut encoder,
            &data,
            (&self.training, &self.encoder.objective),
            key.for_role("fit-encoder"),
            &fit,
        )
        .map_err(|error| fit.stage_error(error))?;
        let fit = EncoderFit {
            cost,
            constant_inputs,
        };
        encoders::save_encoder(&layout, &encoder, fit, context.output)?;
        Ok(Vec::new())
    }
}
