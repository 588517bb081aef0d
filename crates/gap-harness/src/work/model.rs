//! Makes a model, which is frozen from then on, and fits it to data if the spec asks for that.

use super::Work;
use crate::context::{Context, seed_key};
use crate::encoders::{self, EncoderFit, EncoderLayout};
use crate::error::{RunError, stage_error};
use crate::json_file::write_json;
use crate::models::{self, Model, ModelLayout, ObservationShape, number_kind};
use crate::stage_id::StageId;
use crate::stored_models::SETTINGS_FILE;
use gap_infer::train::fit_decoder_and_encoder;
use gap_infer::{ModelDuringFit, family};
use gap_schema::Record;
use gap_spec::{DataSpec, EncoderSpec, Family, ModelSpec, ModelTrainingSpec};
use serde::Serialize;

/// Makes a model, which is frozen from then on. If it is fitted to data, an encoder is fitted jointly with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelWork {
    /// The seed of this repetition.
    pub seed: u32,
    /// The observations that it is fitted to.
    pub data: TrainingDataKey,
    /// The model, `p(x, z)`.
    pub model: ModelSpec,
    /// The variational family of the encoder that it is fitted with.
    pub family: Family,
    /// The experiment's encoder that this model belongs to and is fitted with; `None` if all encoders share the
    /// model.
    pub encoder: Option<EncoderSpec>,
    /// The digest of a stored model of these settings, which is taken in place of a fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<String>,
}

/// The observations that a model is fitted to. The number of measured points is left out, so that more points
/// can be measured without a new fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrainingDataKey {
    name: String,
    split_seed: Option<u32>,
    train_points: Option<u32>,
}

impl From<&DataSpec> for TrainingDataKey {
    fn from(data: &DataSpec) -> Self {
        Self {
            name: data.name.clone(),
            split_seed: data.split_seed,
            train_points: data.train_points.map(|n| n.get()),
        }
    }
}

impl Work for ModelWork {
    fn seed(&self) -> u32 {
        self.seed
    }

    fn input_stages(&self) -> Vec<&StageId> {
        Vec::new()
    }

    fn task_description(&self) -> String {
        match &self.encoder {
            None => "model".to_owned(),
            Some(encoder) => format!("decoder and {}", encoder.name()),
        }
    }

    fn depends_on_precision(&self) -> bool {
        self.model.training.is_none()
    }

    fn run(&self, context: &Context) -> Result<Vec<Record>, RunError> {
        let layout = self.layout(context.observations.observed());
        if self.stored.is_some() {
            let files = context.stored_models.files_for(self);
            let files = files.ok_or_else(|| stage_error("the stored model is not there"))?;
            for (name, content) in files {
                context.output.add(name, content.clone());
            }
            // It is the settings of this stage that it is named by.
            write_json(&layout, context.output, models::LAYOUT_FILE)?;
            return Ok(Vec::new());
        }
        match &self.model.training {
            Some(training) => {
                self.fit_decoder(&layout, training, context)?;
                context.output.add(SETTINGS_FILE, self.settings());
            }
            None => layout
                .random(
                    seed_key(self.seed),
                    number_kind(context.precision),
                    context.device,
                )
                .save(&layout, context.output)?,
        }
        Ok(Vec::new())
    }
}

impl ModelWork {
    /// What the model is built from, with observations of this shape.
    pub fn layout(&self, observed: ObservationShape) -> ModelLayout {
        ModelLayout {
            model: self.model.clone(),
            observed,
        }
    }

    /// All that the fit of this model depends on but the program, as JSON.
    pub fn settings(&self) -> String {
        let fitted = Self {
            stored: None,
            ..self.clone()
        };
        serde_json::to_string(&fitted).expect("settings are plain data")
    }

    fn fit_decoder(
        &self,
        layout: &ModelLayout,
        training: &ModelTrainingSpec,
        context: &Context,
    ) -> Result<(), RunError> {
        let key = seed_key(self.seed);
        let spec = self.companion_encoder_spec(training);
        let mut decoder = layout.random_decoder(key, context.device);
        let of_encoder = EncoderLayout {
            encoder: spec.clone(),
            observed: layout.observed,
            family: self.family,
            latent_dim: layout.latent_dim(),
        };
        let family = family::build_family(self.family, layout.latent_dim());
        let data = context.observations.training_points(self.seed, None)?;
        let init = key.for_role("companion");
        let (mut encoder, constant_inputs) =
            of_encoder.for_fitting(&data, ModelDuringFit::Fitted, init, context.device);
        let fit = context.checkpointed_fit();
        let cost = fit_decoder_and_encoder(
            &mut decoder,
            family.as_ref(),
            &mut encoder,
            &data,
            (&training.optimizer(), context.threads),
            key.for_role("fit-jointly").for_role(&spec.name()),
            &fit,
        )
        .map_err(|error| fit.stage_error(error))?;
        Model::Decoder(decoder).save(layout, context.output)?;
        let fit = EncoderFit {
            cost,
            constant_inputs,
        };
        encoders::save_encoder(&of_encoder, &encoder, fit, context.output)
    }

    /// The encoder that the decoder is fitted with: for a joint decoder one of the experiment's encoders, for a
    /// shared decoder the perceptron of `[model.training]`.
    fn companion_encoder_spec(&self, training: &ModelTrainingSpec) -> EncoderSpec {
        self.encoder.clone().unwrap_or_else(|| EncoderSpec {
            inputs: training.encoder_inputs,
            ..EncoderSpec::perceptron(training.encoder_hidden.clone().unwrap_or_default())
        })
    }
}
