//! A checked spec as content-addressed stages, dependencies first.
//!
//! A stage's name is a digest of everything that its numbers depend on: its own settings, the names
//! of the stages before it, the source of the computing crates, the device and the math library.
//! Anything else (batch size, number of workers, later stages) may change without losing work.

use gap_schema::record::Split;
use gap_schema::spec::{
    AscentSpec, BoundSpec, DecoderSharing, EncoderSpec, FamilySpec, FreeFormSpec, ModelSpec,
    Precision, RefinementSpec, Start, TrainingSpec,
};
use gap_schema::{CheckedSpec, Problem};
use serde::Serialize;
use std::fmt;

/// A stage's name: a digest of all that it depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct StageId(String);

impl fmt::Display for StageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The observations that a repetition fits to. How many points are measured is no part of it: to
/// measure more of them costs no fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FittedTo {
    name: String,
    split_seed: Option<u32>,
    train_points: Option<u32>,
}

impl FittedTo {
    fn of(spec: &CheckedSpec) -> Self {
        let data = &spec.data;
        Self {
            name: data.name.get_ref().clone(),
            split_seed: data.split_seed.as_ref().map(|seed| *seed.get_ref()),
            train_points: data.train_points.as_ref().map(|n| n.get_ref().get()),
        }
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
        /// `Q`, for the encoder.
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
        /// The encoder.
        encoder: EncoderSpec,
        /// How it is fitted.
        training: TrainingSpec,
    },
    /// Finds and measures `q*` on one split.
    FreeForm {
        /// The seed of this repetition.
        seed: u32,
        /// The frozen model.
        model: StageId,
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
            | Self::Optima { model, .. } => vec![model],
            Self::Ascent { model, optima, .. } => vec![model, optima],
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
            | Self::Optima { seed, .. }
            | Self::Ascent { seed, .. }
            | Self::Amortized { seed, .. } => *seed,
        }
    }

    /// What it does, for people.
    pub fn title(&self) -> String {
        format!("seed {}: {}", self.seed(), self.what())
    }

    /// What it does, in a few words: the same for every seed.
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

/// What a stage's numbers depend on besides its own settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Environment {
    /// A digest of the source of the computing crates.
    pub source: String,
    /// The device.
    pub device: String,
    /// The math library's path.
    pub math: String,
    /// The fused kernels' path.
    pub kernels: String,
}

/// The stages of one problem of an experiment, each after those that it depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    variant: Option<String>,
    stages: Vec<(StageId, Stage)>,
}

impl Plan {
    /// The plan of `problem`.
    pub fn of(problem: &Problem, environment: &Environment) -> Self {
        let spec = &problem.spec;
        let mut plan = Self {
            variant: problem.variant.clone(),
            stages: Vec::new(),
        };
        let shared =
            spec.model.training.is_none() || spec.decoder_sharing() == DecoderSharing::Shared;
        for &seed in spec.seeds.get_ref() {
            if shared {
                let model = plan.add_model(spec, seed, None, environment);
                plan.add_free_form(spec, seed, &model, None, environment);
                plan.add_ascents(spec, seed, &model, environment);
                for (encoder, training) in fitted_encoders(spec) {
                    let fitted = plan.add(
                        Stage::Encoder {
                            seed,
                            model: model.clone(),
                            encoder: encoder.clone(),
                            training,
                        },
                        environment,
                    );
                    plan.add_amortized(spec, seed, &model, &fitted, encoder, environment);
                }
            } else {
                for encoder in spec.encoders.get_ref() {
                    let model = plan.add_model(spec, seed, Some(encoder.clone()), environment);
                    plan.add_free_form(spec, seed, &model, Some(encoder), environment);
                    plan.add_amortized(spec, seed, &model, &model, encoder, environment);
                }
            }
        }
        plan
    }

    /// The variant of the experiment, where it has several.
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// The stages, each after those that it depends on.
    pub fn stages(&self) -> &[(StageId, Stage)] {
        &self.stages
    }

    /// Whether it has an ascent among its stages, and so a trace.
    pub fn compares_ascents(&self) -> bool {
        let mut stages = self.stages.iter();
        stages.any(|(_, stage)| matches!(stage, Stage::Ascent { .. }))
    }

    /// A digest of the whole plan.
    pub fn digest(&self) -> String {
        digest(std::slice::from_ref(self))
    }

    fn add(&mut self, stage: Stage, environment: &Environment) -> StageId {
        let content =
            serde_json::to_vec(&(&stage, environment)).expect("a stage can be written as JSON");
        let kind = match stage {
            Stage::Model { .. } => "model",
            Stage::Encoder { .. } => "encoder",
            Stage::FreeForm { .. } => "free-form",
            Stage::Optima { .. } => "optima",
            Stage::Ascent { .. } => "ascent",
            Stage::Amortized { .. } => "amortized",
        };
        let id = StageId(format!("{kind}-{}", &blake3::hash(&content).to_hex()[..16]));
        self.stages.push((id.clone(), stage));
        id
    }

    fn add_model(
        &mut self,
        spec: &CheckedSpec,
        seed: u32,
        encoder: Option<EncoderSpec>,
        environment: &Environment,
    ) -> StageId {
        let stage = Stage::Model {
            seed,
            data: FittedTo::of(spec),
            model: Box::new(spec.model.clone()),
            family: spec.family,
            encoder,
        };
        self.add(stage, environment)
    }

    fn add_free_form(
        &mut self,
        spec: &CheckedSpec,
        seed: u32,
        model: &StageId,
        joint_encoder: Option<&EncoderSpec>,
        environment: &Environment,
    ) {
        for (split, n) in measured(spec) {
            let stage = Stage::FreeForm {
                seed,
                model: model.clone(),
                joint_encoder: joint_encoder.cloned(),
                split,
                n,
                free_form: spec.free_form.clone(),
                estimators: spec.estimators.bounds(),
            };
            self.add(stage, environment);
        }
    }

    fn add_ascents(
        &mut self,
        spec: &CheckedSpec,
        seed: u32,
        model: &StageId,
        environment: &Environment,
    ) {
        if spec.ascents.is_empty() {
            return;
        }
        let (split, n) = (Split::Test, spec.data.measure_test.get_ref().get());
        let stage = Stage::Optima {
            seed,
            model: model.clone(),
            split,
            n,
            starts: spec.free_form_starts().to_vec(),
        };
        let optima = self.add(stage, environment);
        for (name, ascent) in &spec.ascents {
            let stage = Stage::Ascent {
                seed,
                model: model.clone(),
                optima: optima.clone(),
                split,
                n,
                name: name.clone(),
                ascent: ascent.clone(),
                tolerance_nats: spec.free_form.tolerance_nats.get_ref().get(),
                precision: spec.free_form.precision,
                estimators: spec.estimators.bounds(),
            };
            self.add(stage, environment);
        }
    }

    fn add_amortized(
        &mut self,
        spec: &CheckedSpec,
        seed: u32,
        model: &StageId,
        encoder_stage: &StageId,
        encoder: &EncoderSpec,
        environment: &Environment,
    ) {
        let Some(refinement) = &spec.refinement else {
            return;
        };
        for (split, n) in measured(spec) {
            let stage = Stage::Amortized {
                seed,
                model: model.clone(),
                encoder_stage: encoder_stage.clone(),
                encoder: encoder.clone(),
                split,
                n,
                refinement: refinement.get_ref().clone(),
                estimators: spec.estimators.bounds(),
            };
            self.add(stage, environment);
        }
    }
}

/// A digest of all plans of an experiment.
pub fn digest(plans: &[Plan]) -> String {
    let mut hasher = blake3::Hasher::new();
    for plan in plans {
        hasher.update(plan.variant().unwrap_or_default().as_bytes());
        for (id, _) in &plan.stages {
            hasher.update(id.0.as_bytes());
        }
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

/// The encoders that are fitted to a frozen decoder, and how.
fn fitted_encoders(spec: &CheckedSpec) -> impl Iterator<Item = (&EncoderSpec, TrainingSpec)> {
    let training = spec.encoder_training.as_ref().map(|t| *t.get_ref());
    let encoders = spec.encoders.get_ref().iter();
    encoders.filter_map(move |encoder| Some((encoder, training?)))
}

fn measured(spec: &CheckedSpec) -> [(Split, u32); 2] {
    [
        (Split::Train, spec.data.measure_train.get_ref().get()),
        (Split::Test, spec.data.measure_test.get_ref().get()),
    ]
}
