//! From a spec to stages, in the order in which they come to be.

use super::Environment;
use super::settings::FittedTo;
use super::stage::{Stage, StageId};
use gap_schema::CheckedSpec;
use gap_schema::record::Split;
use gap_schema::spec::{DecoderSharing, EncoderSpec, FamilySpec, TrainingSpec};

/// A plan in the making.
pub struct Planner<'a> {
    pub(super) spec: &'a CheckedSpec,
    environment: &'a Environment,
    stages: Vec<(StageId, Stage)>,
}

/// A frozen model of the plan, on which other stages build.
pub(super) struct Frozen<'a> {
    pub seed: u32,
    pub id: StageId,
    /// The encoder that it is fitted with, for a model that is not shared.
    pub joint_encoder: Option<&'a EncoderSpec>,
}

impl<'a> Planner<'a> {
    /// The stages of `spec`, each after those that it depends on.
    pub fn stages(spec: &'a CheckedSpec, environment: &'a Environment) -> Vec<(StageId, Stage)> {
        let mut planner = Self {
            spec,
            environment,
            stages: Vec::new(),
        };
        let shared =
            spec.model.training.is_none() || spec.decoder_sharing() == DecoderSharing::Shared;
        for &seed in spec.seeds.get_ref() {
            if shared {
                planner.add_shared(seed);
            } else {
                planner.add_joint(seed);
            }
        }
        planner.stages
    }

    /// One model, and everything on it.
    fn add_shared(&mut self, seed: u32) {
        let model = self.add_model(seed, None);
        let free_form = self.add_free_form(&model);
        self.add_evidence(&model, &free_form);
        self.add_calibration(&model);
        self.add_ascents(&model);
        for (encoder, training) in fitted_encoders(self.spec) {
            let fitted = self.add(Stage::Encoder {
                seed,
                model: model.id.clone(),
                family: self.spec.family,
                encoder: encoder.clone(),
                training,
            });
            self.add_amortized(&model, &fitted, encoder);
            self.add_pictures(&model, &free_form, &fitted, encoder);
        }
    }

    /// A model for each encoder, and everything on each.
    fn add_joint(&mut self, seed: u32) {
        for encoder in self.spec.encoders.get_ref() {
            let model = self.add_model(seed, Some(encoder));
            let free_form = self.add_free_form(&model);
            self.add_evidence(&model, &free_form);
            self.add_amortized(&model, &model.id, encoder);
            self.add_pictures(&model, &free_form, &model.id, encoder);
        }
    }

    pub(super) fn add(&mut self, stage: Stage) -> StageId {
        let id = StageId::of(&stage, self.environment);
        self.stages.push((id.clone(), stage));
        id
    }

    fn add_model(&mut self, seed: u32, joint_encoder: Option<&'a EncoderSpec>) -> Frozen<'a> {
        let id = self.add(Stage::Model {
            seed,
            data: FittedTo::of(self.spec),
            model: Box::new(self.spec.model.clone()),
            // A shared decoder is the same for all families, so that they can be compared on it.
            family: match joint_encoder {
                Some(_) => self.spec.family,
                None => FamilySpec::default(),
            },
            encoder: joint_encoder.cloned(),
        });
        Frozen {
            seed,
            id,
            joint_encoder,
        }
    }

    /// The stages of `q*`, one for each of [`Planner::measured`].
    fn add_free_form(&mut self, model: &Frozen) -> Vec<StageId> {
        let measured = self.measured().into_iter();
        measured
            .map(|(split, n)| {
                self.add(Stage::FreeForm {
                    seed: model.seed,
                    model: model.id.clone(),
                    family: self.spec.family,
                    joint_encoder: model.joint_encoder.cloned(),
                    split,
                    n,
                    free_form: self.spec.free_form.clone(),
                    estimators: self.spec.estimators.bounds(),
                })
            })
            .collect()
    }

    fn add_ascents(&mut self, model: &Frozen) {
        if self.spec.ascents.is_empty() {
            return;
        }
        let (split, n) = (Split::Test, self.spec.data.measure_test.get_ref().get());
        let optima = self.add(Stage::Optima {
            seed: model.seed,
            model: model.id.clone(),
            split,
            n,
            starts: self.spec.free_form_starts().to_vec(),
        });
        for (name, ascent) in &self.spec.ascents {
            self.add(Stage::Ascent {
                seed: model.seed,
                model: model.id.clone(),
                optima: optima.clone(),
                split,
                n,
                name: name.clone(),
                ascent: ascent.clone(),
                tolerance_nats: self.spec.free_form.tolerance_nats.get_ref().get(),
                precision: self.spec.free_form.precision,
                estimators: self.spec.estimators.bounds(),
            });
        }
    }

    fn add_amortized(&mut self, model: &Frozen, encoder_stage: &StageId, encoder: &EncoderSpec) {
        let Some(refinement) = &self.spec.refinement else {
            return;
        };
        for (split, n) in self.measured() {
            self.add(Stage::Amortized {
                seed: model.seed,
                model: model.id.clone(),
                family: self.spec.family,
                encoder_stage: encoder_stage.clone(),
                encoder: encoder.clone(),
                split,
                n,
                refinement: refinement.get_ref().clone(),
                estimators: self.spec.estimators.bounds(),
            });
        }
    }

    /// Pictures, if `encoder` is the last one.
    fn add_pictures(
        &mut self,
        model: &Frozen,
        free_form: &[StageId],
        encoder_stage: &StageId,
        encoder: &EncoderSpec,
    ) {
        let is_last = self.spec.encoders.get_ref().last() == Some(encoder);
        let (Some(pictures), Some(test), true) = (&self.spec.pictures, free_form.last(), is_last)
        else {
            return;
        };
        self.add(Stage::Pictures {
            seed: model.seed,
            model: model.id.clone(),
            family: self.spec.family,
            free_form: test.clone(),
            encoder_stage: encoder_stage.clone(),
            encoder: encoder.clone(),
            pictures: pictures.get_ref().clone(),
        });
    }

    /// The parts of the data that are measured on, and how many points of each.
    pub(super) fn measured(&self) -> [(Split, u32); 2] {
        let data = &self.spec.data;
        [
            (Split::Train, data.measure_train.get_ref().get()),
            (Split::Test, data.measure_test.get_ref().get()),
        ]
    }
}

/// The encoders that are fitted to a frozen decoder, and how.
fn fitted_encoders(spec: &CheckedSpec) -> impl Iterator<Item = (&EncoderSpec, TrainingSpec)> {
    let training = spec.encoder_training.as_ref().map(|t| *t.get_ref());
    let encoders = spec.encoders.get_ref().iter();
    encoders.filter_map(move |encoder| Some((encoder, training?)))
}
