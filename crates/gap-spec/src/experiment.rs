//! A spec as written: every section, and every key.

use crate::ascent::AscentSpec;
use crate::calibration::CalibrationSpec;
use crate::data::DataSpec;
use crate::encoder::EncoderSpec;
use crate::estimator::EstimatorSpec;
use crate::family::FamilySpec;
use crate::model::ModelSpec;
use crate::number::Count;
use crate::pictures::PicturesSpec;
use crate::refinement::RefinementSpec;
use crate::search::{FreeFormSpec, Protocol, Start};
use crate::training::TrainingSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The file as written. Every key but those with a default must be there; no other may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentSpec {
    /// The experiment's name, also of its folder of results.
    pub name: String,
    /// The question that it answers.
    pub question: String,
    /// The answer that would surprise.
    pub surprise: String,
    /// One repetition for each seed: decoder, encoders and draws are all new.
    pub seeds: Vec<u32>,
    /// The observations.
    pub data: DataSpec,
    /// `p(x, z)`.
    pub model: ModelSpec,
    /// `Q`.
    #[serde(default)]
    pub family: FamilySpec,
    /// The encoders that are compared; there may be none where ascents are, or a calibration is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encoders: Vec<EncoderSpec>,
    /// How each encoder is fitted to a frozen decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_training: Option<TrainingSpec>,
    /// How `q*` is found.
    #[serde(default)]
    pub free_form: FreeFormSpec,
    /// How `q` is refined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refinement: Option<RefinementSpec>,
    /// Ascents that are compared on the test points, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ascents: BTreeMap<String, AscentSpec>,
    /// How bounds are estimated.
    #[serde(default)]
    pub estimators: EstimatorSpec,
    /// Estimators held to known values, for a model that has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationSpec>,
    /// Posteriors over two latent variables as pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<PicturesSpec>,
    /// How work is cut up.
    #[serde(default)]
    pub evaluation: EvaluationSpec,
}

impl ExperimentSpec {
    /// Where free-form ascents start. Default: from the prior and from the model's own encoder; from
    /// the prior alone where the model has no encoder, or where the protocol has it so.
    pub fn free_form_starts(&self) -> &[Start] {
        match &self.free_form.starts {
            Some(starts) => starts,
            None if self.model.training.is_some()
                && self.free_form.protocol == Protocol::Default =>
            {
                &[Start::Prior, Start::Encoder]
            }
            None => &[Start::Prior],
        }
    }
}

/// `[evaluation]`: how work is cut up. No result depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationSpec {
    /// Datapoints that are inferred and evaluated together.
    pub batch_size: Count,
}

impl Default for EvaluationSpec {
    fn default() -> Self {
        Self {
            batch_size: Count::new(100),
        }
    }
}
