//! How networks are fitted: `[encoder_training]`, and the optimiser settings of `[model.training]`.

use crate::encoder::EncoderInputs;
#[cfg(doc)]
use crate::encoder::EncoderSpec;
use crate::number::{Count, Positive};
use crate::precision::{Precision, default_precision};
use serde::{Deserialize, Serialize};

/// `[encoder_training]`: how each encoder is fitted to a frozen decoder.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSpec {
    /// Gradient steps.
    pub steps: Count,
    /// Datapoints per step; fewer if the data have fewer.
    pub batch_size: Count,
    /// Adam's learning rate at the start; it falls to zero along a half cosine.
    pub learning_rate: Positive,
    /// Draws of `z` per datapoint and step.
    pub n_samples: Count,
    /// The precision of the matrix products in gradients.
    #[serde(default = "default_precision")]
    pub precision: Precision,
}

/// `[model.training]`: how the decoder is fitted, as a VAE with an encoder of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelTrainingSpec {
    /// Hidden widths of the encoder that a shared decoder is fitted with; absent for joint decoders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_hidden: Option<Vec<Count>>,
    /// How the encoder that a shared decoder is fitted with sees observations; as in [`EncoderSpec`] by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_inputs: Option<EncoderInputs>,
    /// Gradient steps.
    pub steps: Count,
    /// Datapoints per step.
    pub batch_size: Count,
    /// Adam's learning rate at the start; it falls to zero along a half cosine.
    pub learning_rate: Positive,
    /// Draws of `z` per datapoint and step.
    pub n_samples: Count,
    /// The precision of the matrix products in gradients.
    #[serde(default = "default_precision")]
    pub precision: Precision,
}

impl ModelTrainingSpec {
    /// The optimiser's settings.
    pub const fn optimizer(&self) -> TrainingSpec {
        TrainingSpec {
            steps: self.steps,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            n_samples: self.n_samples,
            precision: self.precision,
        }
    }
}
