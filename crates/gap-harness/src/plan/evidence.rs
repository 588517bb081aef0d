//! Adds the stages that estimate `log p(x)` itself, which depends on the model and the datapoint but on no
//! encoder, and those that check whether the standard errors of estimates are right.

use super::planner::{ModelStage, Planner};
use crate::chunk::{Chunk, QStarStage};
use crate::work::{
    AdaptiveWork, AnnealedWork, CalibratedEstimator, CalibrationWork, SimulatedWork,
};
use gap_spec::{AnnealedSpec, AnnealedStart, CheckedSpec, Estimator, Split};

/// The most points of a stage that anneals, so that a killed run loses only about a minute of work. No result
/// depends on it.
pub(super) const MAX_POINTS_PER_STAGE: u32 = 50;

impl Planner<'_> {
    /// Adds the stages that `[estimators]` asks for under a model; `free_form` are the stages that find `q*`
    /// of the measured points.
    pub(super) fn add_evidence_stages(&mut self, model: &ModelStage, free_form: &[QStarStage]) {
        self.add_adaptive_stages(model, free_form);
        let Some(annealed) = annealed_spec(self.spec) else {
            return;
        };
        let from_q_star = annealed.start == AnnealedStart::FreeForm;
        for found in free_form {
            for points in found.points.divided(MAX_POINTS_PER_STAGE) {
                self.add(AnnealedWork {
                    seed: model.seed,
                    model: model.id.clone(),
                    free_form: from_q_star.then(|| (found.clone(), self.family())),
                    points,
                    annealed: annealed.clone(),
                });
            }
        }
        for points in Chunk::split_into_chunks(
            MAX_POINTS_PER_STAGE,
            Split::Simulated,
            self.n_simulated_points(),
        ) {
            self.add(SimulatedWork {
                seed: model.seed,
                model: model.id.clone(),
                family: self.family(),
                points,
                search: self.spec.free_form.clone(),
                bounds: self.spec.estimators.bounds(),
                annealed: annealed.clone(),
            });
        }
    }

    fn add_adaptive_stages(&mut self, model: &ModelStage, free_form: &[QStarStage]) {
        let Some(adaptive) = self.spec.estimators.adaptive else {
            return;
        };
        for found in free_form {
            self.add(AdaptiveWork {
                seed: model.seed,
                model: model.id.clone(),
                family: self.family(),
                free_form: found.clone(),
                adaptive,
            });
        }
    }

    /// Adds the stages that `[calibration]` asks for: one for each estimator of the experiment and each
    /// datapoint.
    pub(super) fn add_calibration_stages(&mut self, model: &ModelStage) {
        let Some(calibration) = &self.spec.calibration else {
            return;
        };
        for point in 0..calibration.points.get() {
            for estimator in calibrated_estimators(self.spec) {
                self.add(CalibrationWork {
                    seed: model.seed,
                    model: model.id.clone(),
                    family: self.family(),
                    point,
                    replicates: calibration.replicates,
                    search: self.spec.free_form.clone(),
                    estimator,
                });
            }
        }
    }

    fn n_simulated_points(&self) -> u32 {
        let annealed = self.spec.estimators.annealed.as_ref();
        let simulated = annealed.and_then(|annealed| annealed.simulated_points);
        simulated.map_or(0, |n| n.get())
    }
}

/// The estimators whose standard errors `[calibration]` checks.
pub(super) fn calibrated_estimators(spec: &CheckedSpec) -> Vec<CalibratedEstimator> {
    let bounds = spec.estimators.bounds();
    let from_draws = Estimator::for_fitted_q(true).filter_map(|estimator| {
        Some(CalibratedEstimator::FromDraws {
            estimator,
            n_samples: estimator.n_draws(&bounds)?,
        })
    });
    let mut estimators: Vec<CalibratedEstimator> = from_draws.collect();
    estimators.extend(spec.estimators.adaptive.map(CalibratedEstimator::Adaptive));
    if let Some(annealed) = annealed_spec(spec) {
        estimators.push(CalibratedEstimator::Annealed(annealed.clone()));
        estimators.push(CalibratedEstimator::AnnealedReverse(annealed));
    }
    estimators
}

/// The settings of annealing, if it is asked for, without the number of simulated points, on which no estimate
/// depends.
fn annealed_spec(spec: &CheckedSpec) -> Option<AnnealedSpec> {
    let annealed = spec.estimators.annealed.clone()?;
    Some(AnnealedSpec {
        simulated_points: None,
        ..annealed
    })
}
