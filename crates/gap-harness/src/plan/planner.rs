//! Turns a spec into stages, each after those that it depends on.

use crate::chunk::{Chunk, QStarStage};
use crate::stage_id::{Environment, StageId};
use crate::stored_models::StoredModels;
use crate::work::{
    AmortizedWork, AscentWork, EncoderWork, FreeFormWork, ModelWork, OptimaWork, PosteriorGridWork,
    Stage, TrainingDataKey,
};
use gap_spec::{CheckedSpec, EncoderSpec, Family, FloatPrecision, ModelSpec, Split};

/// Collects the stages of a plan.
pub struct Planner<'a> {
    pub(super) spec: &'a CheckedSpec,
    environment: &'a Environment,
    stored: &'a StoredModels,
    stages: Vec<(StageId, Stage)>,
}

/// The stage of a frozen model, on which other stages depend.
pub(super) struct ModelStage {
    pub seed: u32,
    pub id: StageId,
}

impl<'a> Planner<'a> {
    /// The stages of `spec`, each after those that it depends on.
    pub fn stages(
        spec: &'a CheckedSpec,
        environment: &'a Environment,
        stored: &'a StoredModels,
    ) -> Vec<(StageId, Stage)> {
        let mut planner = Self {
            spec,
            environment,
            stored,
            stages: Vec::new(),
        };
        let shared = spec.model.has_shared_decoder();
        for &seed in &spec.seeds {
            if shared {
                planner.add_shared_decoder_stages(seed);
            } else {
                planner.add_joint_decoder_stages(seed);
            }
        }
        planner.stages
    }

    pub(super) fn add(&mut self, work: impl Into<Stage>) -> StageId {
        let stage = work.into();
        let id = match self.spec.precision {
            FloatPrecision::Double if stage.depends_on_precision() => {
                let settings = (FloatPrecision::Double, &stage);
                StageId::new(stage.kind(), &settings, self.environment)
            }
            _ => StageId::new(stage.kind(), &stage, self.environment),
        };
        self.stages.push((id.clone(), stage));
        id
    }

    /// The points that are measured, of the training and then of the test part, as [`EvaluationSpec`] divides them.
    ///
    /// [`EvaluationSpec`]: gap_spec::EvaluationSpec
    pub(super) fn measured_chunks(&self) -> Vec<Chunk> {
        let data = &self.spec.data;
        let most = self.spec.evaluation.chunk_size.get();
        let train = Chunk::split_into_chunks(most, Split::Train, data.measure_train.get());
        let test = Chunk::split_into_chunks(most, Split::Test, data.measure_test.get());
        train.chain(test).collect()
    }

    pub(super) fn family(&self) -> Family {
        self.spec.family.kind
    }

    /// Adds the stage of one model, and all stages that use that model.
    fn add_shared_decoder_stages(&mut self, seed: u32) {
        let model = self.add_model(seed, None);
        let free_form = self.add_free_form(&model);
        self.add_protocols(&model);
        self.add_evidence_stages(&model, &free_form);
        self.add_calibration_stages(&model);
        self.add_ascents(&model);
        let Some(training) = self.spec.encoder_training else {
            return;
        };
        for encoder in &self.spec.encoders {
            let fitted = self.add(EncoderWork {
                seed,
                model: model.id.clone(),
                family: self.family(),
                encoder: encoder.clone(),
                training,
            });
            self.add_amortized(&model, &fitted, encoder);
            self.add_pictures(&model, &free_form, &fitted, encoder);
        }
    }

    /// Adds the stage of a model for each encoder, and all stages that use these models.
    fn add_joint_decoder_stages(&mut self, seed: u32) {
        for encoder in &self.spec.encoders {
            let model = self.add_model(seed, Some(encoder));
            let free_form = self.add_free_form(&model);
            self.add_protocols(&model);
            self.add_evidence_stages(&model, &free_form);
            self.add_amortized(&model, &model.id, encoder);
            self.add_pictures(&model, &free_form, &model.id, encoder);
        }
    }

    fn add_model(&mut self, seed: u32, joint_encoder: Option<&EncoderSpec>) -> ModelStage {
        let mut work = ModelWork {
            seed,
            data: TrainingDataKey::from(&self.spec.data),
            model: ModelSpec {
                weights: None,
                ..self.spec.model.clone()
            },
            // A shared decoder does not depend on the measured family, so that families can be compared on it.
            family: match joint_encoder {
                Some(_) => self.family(),
                None => Family::DiagonalGaussian,
            },
            encoder: joint_encoder.cloned(),
            stored: None,
        };
        work.stored = self.stored.digest_for(&work);
        let id = self.add(work);
        ModelStage { seed, id }
    }

    /// Adds the stages that find `q*`, one for each of [`Planner::measured_chunks`].
    fn add_free_form(&mut self, model: &ModelStage) -> Vec<QStarStage> {
        let measured = self.measured_chunks().into_iter();
        measured
            .map(|points| {
                let stage = self.add(self.free_form_work(model, points, None));
                QStarStage { stage, points }
            })
            .collect()
    }

    /// Adds the stages of the other searches, on the same points.
    fn add_protocols(&mut self, model: &ModelStage) {
        for name in self.spec.protocols.keys() {
            for points in self.measured_chunks() {
                self.add(self.free_form_work(model, points, Some(name)));
            }
        }
    }

    /// The search of `[protocols.NAME]`, or of `[free_form]` if there is no `name`.
    fn free_form_work(
        &self,
        model: &ModelStage,
        points: Chunk,
        name: Option<&String>,
    ) -> FreeFormWork {
        let search = name.map_or(&self.spec.free_form, |name| &self.spec.protocols[name]);
        FreeFormWork {
            seed: model.seed,
            model: model.id.clone(),
            family: self.family(),
            points,
            protocol: name.cloned(),
            search: search.clone(),
            bounds: self.spec.estimators.bounds(),
        }
    }

    fn add_ascents(&mut self, model: &ModelStage) {
        if self.spec.ascents.is_empty() {
            return;
        }
        let points = Chunk::first_points(Split::Test, self.spec.data.measure_test.get());
        let optima = self.add(OptimaWork {
            seed: model.seed,
            model: model.id.clone(),
            points,
            starts: self.spec.free_form_starts().to_vec(),
        });
        for (name, ascent) in &self.spec.ascents {
            self.add(AscentWork {
                seed: model.seed,
                model: model.id.clone(),
                optima: optima.clone(),
                points,
                name: name.clone(),
                ascent: ascent.clone(),
                tolerance_nats: self.spec.free_form.tolerance_nats.get(),
                precision: self.spec.free_form.precision(),
                elbo_samples: self.spec.estimators.elbo_samples,
            });
        }
    }

    fn add_amortized(
        &mut self,
        model: &ModelStage,
        encoder_stage: &StageId,
        encoder: &EncoderSpec,
    ) {
        for points in self.measured_chunks() {
            self.add(AmortizedWork {
                seed: model.seed,
                model: model.id.clone(),
                family: self.family(),
                encoder_stage: encoder_stage.clone(),
                encoder: encoder.clone(),
                points,
                refinement: self.spec.refinement.clone(),
                refinements: self.spec.refinements.clone(),
                bounds: self.spec.estimators.bounds(),
            });
        }
    }

    /// Adds the stage of pictures, if the spec asks for them and `encoder` is its last one.
    fn add_pictures(
        &mut self,
        model: &ModelStage,
        free_form: &[QStarStage],
        encoder_stage: &StageId,
        encoder: &EncoderSpec,
    ) {
        let is_last = self.spec.encoders.last() == Some(encoder);
        let (Some(pictures), true) = (&self.spec.pictures, is_last) else {
            return;
        };
        let is_pictured =
            |points: Chunk| points.split == Split::Test && points.from < pictures.points.get();
        self.add(PosteriorGridWork {
            seed: model.seed,
            model: model.id.clone(),
            family: self.family(),
            free_form: free_form
                .iter()
                .filter(|found| is_pictured(found.points))
                .cloned()
                .collect(),
            encoder_stage: encoder_stage.clone(),
            encoder: encoder.clone(),
            pictures: pictures.clone(),
        });
    }
}
