//! The pieces of work that a plan is made of, and what the numbers of each depend on.

use super::Environment;
use super::settings::{Calibrated, Chunk, FittedTo};
use gap_schema::record::Split;
use gap_schema::spec::{
    AdaptiveSpec, AnnealedSpec, AscentSpec, BoundSpec, EncoderSpec, FamilySpec, FreeFormSpec,
    ModelSpec, PicturesSpec, Precision, RefinementSpec, Start, TrainingSpec,
};
use serde::Serialize;
use std::fmt;

/// A stage's name: a digest of all that it depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct StageId(String);

impl StageId {
    pub(super) fn of(stage: &Stage, environment: &Environment) -> Self {
        let content =
            serde_json::to_vec(&(stage, environment)).expect("a stage can be written as JSON");
        let digest = &blake3::hash(&content).to_hex()[..16];
        Self(format!("{}-{digest}", stage.kind()))
    }

    pub(super) const fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for StageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A piece of work that is done whole or not at all.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "stage", rename_all = "kebab-case")]
pub enum Stage {
    /// Makes and freezes a model, and the encoder that it was fitted with, if it was fitted.
    Model {
        /// The seed of this repetition.
        seed: u32,
        /// The observations that it is fitted to.
        data: FittedTo,
        /// `p(x, z)`.
        model: Box<ModelSpec>,
        /// `Q` of the encoder that it is fitted with.
        family: FamilySpec,
        /// The encoder that is fitted jointly, for a model that is not shared.
        encoder: Option<EncoderSpec>,
    },
    /// Fits an encoder to a frozen model.
    Encoder {
        /// The seed of this repetition.
        seed: u32,
        /// The frozen model.
        model: StageId,
        /// `Q`.
        family: FamilySpec,
        /// The encoder.
        encoder: EncoderSpec,
        /// How it is fitted.
        training: TrainingSpec,
    },
    /// Finds, keeps and measures `q*` on one split.
    FreeForm {
        /// The seed of this repetition.
        seed: u32,
        /// The frozen model.
        model: StageId,
        /// `Q`.
        family: FamilySpec,
        /// The encoder that the model was fitted with, for a model that is not shared.
        joint_encoder: Option<EncoderSpec>,
        /// The part of the data.
        split: Split,
        /// How many points of it.
        n: u32,
        /// How `q*` is found.
        free_form: FreeFormSpec,
        /// How bounds are estimated.
        estimators: BoundSpec,
    },
    /// Estimates `log p(x)` from as many draws of `q*` as its error asks for.
    Adaptive {
        /// The seed of this repetition.
        seed: u32,
        /// The frozen model.
        model: StageId,
        /// The [`Stage::FreeForm`] of the same points.
        free_form: StageId,
        /// The part of the data.
        split: Split,
        /// How many points of it.
        n: u32,
        /// How many draws.
        adaptive: AdaptiveSpec,
    },
    /// Estimates `log p(x)` by annealing, from below.
    Annealed {
        /// The seed of this repetition.
        seed: u32,
        /// The frozen model.
        model: StageId,
        /// The [`Stage::FreeForm`] whose `q*` the path begins at, if it does.
        free_form: Option<StageId>,
        /// The encoder that the model was fitted with, for a model that is not shared.
        joint_encoder: Option<EncoderSpec>,
        /// The points.
        chunk: Chunk,
        /// The path, and how it is walked.
        annealed: AnnealedSpec,
    },
    /// Estimates `log p(x)` from both sides, on points that are drawn from the model.
    Simulated {
        /// The seed of this repetition.
        seed: u32,
        /// The frozen model.
        model: StageId,
        /// `Q`.
        family: FamilySpec,
        /// The encoder that the model was fitted with, for a model that is not shared.
        joint_encoder: Option<EncoderSpec>,
        /// The points.
        chunk: Chunk,
        /// How `q*` is found.
        free_form: FreeFormSpec,
        /// How bounds are estimated.
        estimators: BoundSpec,
        /// The path, and how it is walked.
        annealed: AnnealedSpec,
    },
    /// Holds the errors that one estimator reports to the spread of its estimates, on one datapoint.
    Calibration {
        /// The seed of this repetition.
        seed: u32,
        /// The frozen model, which has closed forms.
        model: StageId,
        /// `Q`.
        family: FamilySpec,
        /// The datapoint, of those that are drawn from the model.
        point: u32,
        /// How many estimates.
        replicates: u32,
        /// How `q*` is found.
        free_form: FreeFormSpec,
        /// The estimator.
        estimator: Calibrated,
    },
    /// Shows the posteriors of some test points, and what stands for them.
    Pictures {
        /// The seed of this repetition.
        seed: u32,
        /// The frozen model, of two latent variables.
        model: StageId,
        /// `Q`.
        family: FamilySpec,
        /// The [`Stage::FreeForm`] of the test points.
        free_form: StageId,
        /// The stage whose encoder is shown.
        encoder_stage: StageId,
        /// The encoder.
        encoder: EncoderSpec,
        /// How many points, and how finely.
        pictures: PicturesSpec,
    },
    /// Finds the optima that ascents are held against, from each start.
    Optima {
        /// The seed of this repetition.
        seed: u32,
        /// The frozen model.
        model: StageId,
        /// The part of the data.
        split: Split,
        /// How many points of it.
        n: u32,
        /// Where to start.
        starts: Vec<Start>,
    },
    /// Follows one ascent from each start, with an eye on how far it has come.
    Ascent {
        /// The seed of this repetition.
        seed: u32,
        /// The frozen model.
        model: StageId,
        /// The [`Stage::Optima`] of the same points, and their starts.
        optima: StageId,
        /// The part of the data.
        split: Split,
        /// How many points of it.
        n: u32,
        /// Its name in the spec.
        name: String,
        /// The ascent.
        ascent: AscentSpec,
        /// The bound that the default search aims at, nats.
        tolerance_nats: f64,
        /// How exact the products of its gradients are.
        precision: Precision,
        /// How many draws a look at it takes.
        estimators: BoundSpec,
    },
    /// Measures an encoder's `q`, and its refinements, on one split.
    Amortized {
        /// The seed of this repetition.
        seed: u32,
        /// The frozen model.
        model: StageId,
        /// `Q`.
        family: FamilySpec,
        /// The stage whose encoder is measured: an [`Stage::Encoder`], or the model's own.
        encoder_stage: StageId,
        /// The encoder.
        encoder: EncoderSpec,
        /// The part of the data.
        split: Split,
        /// How many points of it.
        n: u32,
        /// How `q` is refined.
        refinement: RefinementSpec,
        /// How bounds are estimated.
        estimators: BoundSpec,
    },
}

impl Stage {
    /// The stages whose results this one reads.
    pub fn dependencies(&self) -> Vec<&StageId> {
        match self {
            Self::Model { .. } => vec![],
            Self::Encoder { model, .. }
            | Self::FreeForm { model, .. }
            | Self::Simulated { model, .. }
            | Self::Calibration { model, .. }
            | Self::Optima { model, .. } => vec![model],
            Self::Adaptive {
                model, free_form, ..
            } => vec![model, free_form],
            Self::Annealed {
                model, free_form, ..
            } => std::iter::once(model).chain(free_form).collect(),
            Self::Ascent { model, optima, .. } => vec![model, optima],
            Self::Pictures {
                model,
                free_form,
                encoder_stage,
                ..
            } if model == encoder_stage => vec![model, free_form],
            Self::Pictures {
                model,
                free_form,
                encoder_stage,
                ..
            } => vec![model, free_form, encoder_stage],
            Self::Amortized {
                model,
                encoder_stage,
                ..
            } if model == encoder_stage => vec![model],
            Self::Amortized {
                model,
                encoder_stage,
                ..
            } => vec![model, encoder_stage],
        }
    }

    /// The seed of the repetition that it belongs to.
    pub const fn seed(&self) -> u32 {
        match self {
            Self::Model { seed, .. }
            | Self::Encoder { seed, .. }
            | Self::FreeForm { seed, .. }
            | Self::Adaptive { seed, .. }
            | Self::Annealed { seed, .. }
            | Self::Simulated { seed, .. }
            | Self::Calibration { seed, .. }
            | Self::Pictures { seed, .. }
            | Self::Optima { seed, .. }
            | Self::Ascent { seed, .. }
            | Self::Amortized { seed, .. } => *seed,
        }
    }

    /// What kind of work it is: the first part of its name.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Model { .. } => "model",
            Self::Encoder { .. } => "encoder",
            Self::FreeForm { .. } => "free-form",
            Self::Adaptive { .. } => "adaptive",
            Self::Annealed { .. } => "annealed",
            Self::Simulated { .. } => "simulated",
            Self::Calibration { .. } => "calibration",
            Self::Pictures { .. } => "pictures",
            Self::Optima { .. } => "optima",
            Self::Ascent { .. } => "ascent",
            Self::Amortized { .. } => "amortized",
        }
    }

    /// What it does, for people.
    pub fn title(&self) -> String {
        let what = match self {
            Self::Annealed { chunk, .. } => format!("anneal {chunk}"),
            Self::Calibration {
                point, estimator, ..
            } => format!("calibrate {} on point {point}", estimator.estimator()),
            Self::Simulated { chunk, .. } => format!("both sides of {chunk}"),
            _ => self.what(),
        };
        format!("seed {}: {what}", self.seed())
    }

    /// What it does, in a few words: the same for every seed, and for every part of one work.
    pub fn what(&self) -> String {
        match self {
            Self::Model { encoder: None, .. } => "model".to_owned(),
            Self::Model {
                encoder: Some(encoder),
                ..
            } => {
                format!("decoder and {}", encoder.name())
            }
            Self::Encoder { encoder, .. } => format!("fit {}", encoder.name()),
            Self::FreeForm { split, n, .. } => format!("free-form, {n} {split} points"),
            Self::Adaptive { split, n, .. } => format!("weigh adaptively, {n} {split} points"),
            Self::Annealed { chunk, .. } => format!("anneal {} points", chunk.split),
            Self::Simulated { chunk, .. } => format!("both sides of {} points", chunk.split),
            Self::Calibration { estimator, .. } => format!("calibrate {}", estimator.estimator()),
            Self::Pictures { pictures, .. } => {
                format!("pictures of {} posteriors", pictures.points.get_ref().get())
            }
            Self::Optima { split, n, .. } => format!("optima of {n} {split} points"),
            Self::Ascent { name, split, n, .. } => format!("ascent {name}, {n} {split} points"),
            Self::Amortized {
                encoder, split, n, ..
            } => {
                format!("measure {}, {n} {split} points", encoder.name())
            }
        }
    }
}
