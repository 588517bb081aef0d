//! What an experiment is: the keys that users write, and what a run may rely on.
//!
//! [`ExperimentSpec`] is the file as written; [`ExperimentSpec::check`] refuses what cannot run and
//! gives a [`CheckedSpec`]. Reading files, places in them and overrides are in [`crate::spec_file`].

mod ascent;
mod calibration;
mod check;
mod estimators;
mod inference;
mod model;
mod pictures;
mod precision;

pub use ascent::{AscentKind, AscentSpec, NoiseSource, StepRule, StoppingRule};
pub use calibration::CalibrationSpec;
pub(crate) use check::is_plain_name;
pub use check::{CheckedSpec, SpecConflict};
pub use estimators::{
    AdaptiveSpec, AnnealedSpec, AnnealedStart, AnnealingSchedule, BoundSpec, EstimatorSpec,
    ScheduleShape,
};
pub use inference::{FreeFormSpec, Protocol, RefinementRule, RefinementSpec, Start};
pub use model::{Activation, DecoderSharing, Likelihood, ModelKind, ModelSpec, ModelTrainingSpec};
pub use pictures::PicturesSpec;
pub use precision::Precision;

use self::precision::mixed;
use crate::record::{EncoderKind, Family, encoder_name};
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::Spanned;

/// A whole number of at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Count(u32);

impl Count {
    /// `value`, which must be at least 1.
    ///
    /// # Panics
    ///
    /// If it is 0.
    pub const fn new(value: u32) -> Self {
        assert!(value > 0, "a count is at least 1");
        Self(value)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = i64::deserialize(deserializer)?;
        u32::try_from(value)
            .ok()
            .filter(|&count| count > 0)
            .map(Self)
            .ok_or_else(|| {
                D::Error::custom(format!(
                    "{value} is out of range; use a whole number from 1 to {}",
                    u32::MAX
                ))
            })
    }
}

/// A finite number above 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Positive(f64);

impl Positive {
    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Positive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        if value.is_finite() && value > 0.0 {
            Ok(Self(value))
        } else {
            Err(D::Error::custom(format!(
                "{value} is out of range; use a number above 0"
            )))
        }
    }
}

/// The file as written. Every key but those with a default must be there; no other may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentSpec {
    /// The experiment's name, also of its folder of results.
    pub name: Spanned<String>,
    /// The question that it answers.
    pub question: String,
    /// The answer that would surprise.
    pub surprise: String,
    /// One repetition for each seed: decoder, encoders and draws are all new.
    pub seeds: Spanned<Vec<u32>>,
    /// The observations.
    pub data: DataSpec,
    /// `p(x, z)`.
    pub model: ModelSpec,
    /// `Q`.
    #[serde(default)]
    pub family: FamilySpec,
    /// The encoders that are compared; there may be none where ascents are, or a calibration is.
    #[serde(default = "nothing", skip_serializing_if = "is_empty")]
    pub encoders: Spanned<Vec<EncoderSpec>>,
    /// How each encoder is fitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_training: Option<Spanned<TrainingSpec>>,
    /// How `q*` is found.
    #[serde(default)]
    pub free_form: FreeFormSpec,
    /// How `q` is refined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refinement: Option<Spanned<RefinementSpec>>,
    /// Ascents that are compared on the test points, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ascents: BTreeMap<String, AscentSpec>,
    /// How bounds are estimated.
    #[serde(default)]
    pub estimators: EstimatorSpec,
    /// Estimators held to known values, for a model that has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Spanned<CalibrationSpec>>,
    /// Posteriors over two latent variables as pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<Spanned<PicturesSpec>>,
    /// How work is cut up.
    #[serde(default)]
    pub evaluation: EvaluationSpec,
}

impl ExperimentSpec {
    /// Whether encoders are compared on one frozen decoder.
    pub fn decoder_sharing(&self) -> DecoderSharing {
        self.model
            .decoder
            .as_ref()
            .map_or(DecoderSharing::Shared, |decoder| *decoder.get_ref())
    }

    /// The likelihood of a decoder.
    pub fn likelihood(&self) -> Likelihood {
        self.model
            .likelihood
            .as_ref()
            .map_or(Likelihood::Bernoulli, |likelihood| *likelihood.get_ref())
    }

    /// Where free-form ascents start. Default: from the prior and from the model's own encoder; from
    /// the prior alone where the model has no encoder, or where the protocol has it so.
    pub fn free_form_starts(&self) -> &[Start] {
        match &self.free_form.starts {
            Some(starts) => starts.get_ref(),
            None if self.model.training.is_some()
                && *self.free_form.protocol.get_ref() == Protocol::Default =>
            {
                &[Start::Prior, Start::Encoder]
            }
            None => &[Start::Prior],
        }
    }
}

fn nothing() -> Spanned<Vec<EncoderSpec>> {
    Spanned::new(0..0, Vec::new())
}

fn is_empty(encoders: &Spanned<Vec<EncoderSpec>>) -> bool {
    encoders.get_ref().is_empty()
}

/// `[data]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// A name from `amortgap data list`, or `synthetic`: drawn from the model itself.
    pub name: Spanned<String>,
    /// Which random split, for data without a published one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_seed: Option<Spanned<u32>>,
    /// Points to fit to. Default: all training points of a published split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_points: Option<Spanned<Count>>,
    /// Training points to measure gaps on.
    pub measure_train: Spanned<Count>,
    /// Test points to measure gaps on.
    pub measure_test: Spanned<Count>,
}

/// The name of data that is drawn from the model.
pub const SYNTHETIC: &str = "synthetic";

/// `[encoder_training]`: how each encoder is fitted to a frozen decoder.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSpec {
    /// Gradient steps.
    pub steps: Count,
    /// Datapoints in a step.
    pub batch_size: Count,
    /// Adam's learning rate at the start; it falls to zero along a half cosine.
    pub learning_rate: Positive,
    /// Draws of `z` per datapoint and step.
    pub n_samples: Count,
    /// How exact the products of gradients are.
    #[serde(default = "mixed")]
    pub precision: Precision,
}

/// `[family]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilySpec {
    /// Which family.
    pub kind: Family,
}

impl Default for FamilySpec {
    fn default() -> Self {
        Self {
            kind: Family::DiagonalGaussian,
        }
    }
}

/// `[[encoders]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSpec {
    /// How it is built.
    pub kind: EncoderKind,
    /// Widths of its hidden layers, for an MLP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Spanned<Vec<Count>>>,
    /// Channels behind its first and its second convolution, for a `conv`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Spanned<[Count; 2]>>,
    /// How many observations it sees, its own and its neighbours'. Default: all that the model knows of a
    /// datapoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Spanned<Count>>,
    /// Its nonlinearity. Default: `tanh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Spanned<Activation>>,
}

impl EncoderSpec {
    /// Widths of the hidden layers, or channels of the convolutions.
    pub fn widths(&self) -> Vec<u32> {
        let counts = |counts: &[Count]| counts.iter().map(|count| count.get()).collect();
        match (&self.hidden, &self.channels) {
            (Some(hidden), _) => counts(hidden.get_ref()),
            (None, Some(channels)) => counts(channels.get_ref()),
            (None, None) => Vec::new(),
        }
    }

    /// The nonlinearity between layers.
    pub fn activation(&self) -> Activation {
        self.activation
            .as_ref()
            .map_or(Activation::Tanh, |activation| *activation.get_ref())
    }

    /// A short name: `linear`, `mlp-64`, `mlp-256-256`, `conv-16-32`.
    pub fn name(&self) -> String {
        encoder_name(self.kind, &self.widths())
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
