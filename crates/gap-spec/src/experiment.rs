//! A spec as written, with all its sections and keys.

use crate::ascent::AscentSpec;
use crate::calibration::CalibrationSpec;
use crate::data::DataSpec;
use crate::encoder::EncoderSpec;
use crate::estimator::EstimatorSpec;
use crate::family::FamilySpec;
use crate::model::ModelSpec;
use crate::number::Count;
use crate::pictures::PicturesSpec;
use crate::precision::FloatPrecision;
use crate::refinement::RefinementSpec;
use crate::search::{FreeFormSpec, Start};
use crate::training::TrainingSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The spec file as written. Keys without a default are required; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentSpec {
    /// The name of the experiment and of its results folder.
    pub name: String,
    /// The question that it answers.
    pub question: String,
    /// The answer that would contradict expectations.
    pub surprise: String,
    /// One repetition for each seed, with decoder, encoders and draws of its own.
    pub seeds: Vec<u32>,
    /// The numbers that everything is inferred and measured with.
    #[serde(default = "single", skip_serializing_if = "FloatPrecision::is_single")]
    pub precision: FloatPrecision,
    /// The observations, and how many of them are used.
    pub data: DataSpec,
    /// The model `p(x, z)`.
    pub model: ModelSpec,
    /// The variational family.
    #[serde(default)]
    pub family: FamilySpec,
    /// The encoders that are compared; may be empty if there are `ascents` or a `calibration`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encoders: Vec<EncoderSpec>,
    /// How each encoder is fitted to a frozen decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_training: Option<TrainingSpec>,
    /// How `q*` is found.
    #[serde(default)]
    pub free_form: FreeFormSpec,
    /// Other free-form searches, by name. The `q` that each finds is measured on the same points and draws as
    /// `q*`, which `[free_form]` finds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub protocols: BTreeMap<String, FreeFormSpec>,
    /// How an encoder's `q` is refined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refinement: Option<RefinementSpec>,
    /// Further refinements of the encoders' `q`, by name, measured on the same points and draws. Without
    /// `[refinement]` the first of them by name takes its place where results have one refinement.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refinements: BTreeMap<String, RefinementSpec>,
    /// Ascents that are compared on the test points, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ascents: BTreeMap<String, AscentSpec>,
    /// How `log p(x)` and its lower bounds are estimated.
    #[serde(default)]
    pub estimators: EstimatorSpec,
    /// Checks of the estimators' standard errors, for a model whose `log p(x)` is known exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationSpec>,
    /// Grids that show posteriors over two latent variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<PicturesSpec>,
    /// How work is divided.
    #[serde(default)]
    pub evaluation: EvaluationSpec,
}

const fn single() -> FloatPrecision {
    FloatPrecision::Single
}

impl ExperimentSpec {
    /// `[free_form]` and each `[protocols.NAME]`, with the name of the section.
    pub fn all_searches(&self) -> impl Iterator<Item = (String, &FreeFormSpec)> {
        let named = self.protocols.iter();
        let named = named.map(|(name, search)| (format!("protocols.{name}"), search));
        std::iter::once(("free_form".to_owned(), &self.free_form)).chain(named)
    }

    /// `[refinement]`, if it is there, and each `[refinements.NAME]`, with the name of the section.
    pub fn all_refinements(&self) -> impl Iterator<Item = (String, &RefinementSpec)> {
        let named = self.refinements.iter();
        let named = named.map(|(name, refinement)| (format!("refinements.{name}"), refinement));
        let unnamed = self.refinement.iter();
        let unnamed = unnamed.map(|refinement| ("refinement".to_owned(), refinement));
        unnamed.chain(named)
    }

    /// Where the ascents of `[free_form]` start.
    pub fn free_form_starts(&self) -> &[Start] {
        self.starts_of(&self.free_form)
    }

    /// Where the ascents of `search` start: see [`FreeFormSpec::starts_with`]. An encoder comes with a model that is
    /// fitted.
    pub fn starts_of<'a>(&self, search: &'a FreeFormSpec) -> &'a [Start] {
        search.starts_with(self.model.training.is_some())
    }
}

/// `[evaluation]`: how work is divided. No result depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationSpec {
    /// Datapoints that are inferred and evaluated together.
    pub batch_size: Count,
    /// The most datapoints of a stage that searches or measures. Stages run in parallel, and are what a run that
    /// was killed need not do again.
    pub chunk_size: Count,
}

impl Default for EvaluationSpec {
    fn default() -> Self {
        Self {
            batch_size: Count::new(100),
            chunk_size: Count::new(250),
        }
    }
}
