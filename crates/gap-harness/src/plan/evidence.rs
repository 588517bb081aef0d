//! The stages that estimate `log p(x)` itself, a property of the model and the datapoint whatever `q` an
//! encoder gives, and those that ask whether the estimates' errors are what they say.

use super::planner::{Frozen, Planner};
use super::settings::{Calibrated, Chunk};
use super::stage::{Stage, StageId};
use gap_schema::record::Split;
use gap_schema::spec::{AnnealedSpec, AnnealedStart};

/// The most points of a stage that anneals: what a run that is killed may lose is a minute or so. No
/// number depends on it.
const POINTS_A_STAGE: u32 = 50;

impl Planner<'_> {
    /// What `[estimators]` asks about a model; `free_form` holds the `q*` of each measured part.
    pub(super) fn add_evidence(&mut self, model: &Frozen, free_form: &[StageId]) {
        self.add_adaptive(model, free_form);
        let Some(path) = self.path() else {
            return;
        };
        let from_q_star = *path.start.get_ref() == AnnealedStart::FreeForm;
        for ((split, n), free_form) in self.measured().into_iter().zip(free_form) {
            for chunk in Chunk::of_at_most(POINTS_A_STAGE, split, n) {
                self.add(Stage::Annealed {
                    seed: model.seed,
                    model: model.id.clone(),
                    free_form: from_q_star.then(|| free_form.clone()),
                    joint_encoder: model.joint_encoder.cloned(),
                    chunk,
                    annealed: path.clone(),
                });
            }
        }
        for chunk in Chunk::of_at_most(POINTS_A_STAGE, Split::Simulated, self.n_simulated()) {
            self.add(Stage::Simulated {
                seed: model.seed,
                model: model.id.clone(),
                family: self.spec.family,
                joint_encoder: model.joint_encoder.cloned(),
                chunk,
                free_form: self.spec.free_form.clone(),
                estimators: self.spec.estimators.bounds(),
                annealed: path.clone(),
            });
        }
    }

    fn add_adaptive(&mut self, model: &Frozen, free_form: &[StageId]) {
        let Some(adaptive) = &self.spec.estimators.adaptive else {
            return;
        };
        for ((split, n), free_form) in self.measured().into_iter().zip(free_form) {
            self.add(Stage::Adaptive {
                seed: model.seed,
                model: model.id.clone(),
                free_form: free_form.clone(),
                split,
                n,
                adaptive: adaptive.get_ref().clone(),
            });
        }
    }

    /// What `[calibration]` asks: every estimator that the experiment has, on each datapoint.
    pub(super) fn add_calibration(&mut self, model: &Frozen) {
        let Some(calibration) = &self.spec.calibration else {
            return;
        };
        let calibration = calibration.get_ref();
        for point in 0..calibration.points.get() {
            for estimator in self.calibrated() {
                self.add(Stage::Calibration {
                    seed: model.seed,
                    model: model.id.clone(),
                    family: self.spec.family,
                    point,
                    replicates: calibration.replicates.get_ref().get(),
                    free_form: self.spec.free_form.clone(),
                    estimator,
                });
            }
        }
    }

    fn calibrated(&self) -> Vec<Calibrated> {
        let bounds = self.spec.estimators.bounds();
        let (elbo, n_samples) = (bounds.elbo_samples, bounds.iw_samples);
        let mut estimators = vec![
            Calibrated::Elbo { n_samples: elbo },
            Calibrated::ImportanceWeighted { n_samples },
            Calibrated::ParetoSmoothed { n_samples },
        ];
        if let Some(adaptive) = &self.spec.estimators.adaptive {
            estimators.push(Calibrated::Adaptive(adaptive.get_ref().clone()));
        }
        if let Some(path) = self.path() {
            estimators.push(Calibrated::Annealed(path.clone()));
            estimators.push(Calibrated::AnnealedReverse(path));
        }
        estimators
    }

    /// How to anneal. How many points are simulated is left out: no estimate depends on it.
    fn path(&self) -> Option<AnnealedSpec> {
        let annealed = self.spec.estimators.annealed.as_ref()?;
        Some(AnnealedSpec {
            simulated_points: None,
            ..annealed.get_ref().clone()
        })
    }

    fn n_simulated(&self) -> u32 {
        let annealed = self.spec.estimators.annealed.as_ref();
        let simulated = annealed.and_then(|annealed| annealed.get_ref().simulated_points);
        simulated.map_or(0, |n| n.get())
    }
}
