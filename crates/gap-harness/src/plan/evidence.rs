//! The stages that estimate `log p(x)` itself: a property of the model and the datapoint, whatever `q`
//! an encoder gives.

use super::planner::{Frozen, Planner};
use super::stage::{Chunk, Stage, StageId};
use gap_schema::record::Split;
use gap_schema::spec::{AnnealedSpec, AnnealedStart};

/// The most points of a stage that anneals: what a run that is killed may lose is a minute or so. No
/// number depends on it.
const POINTS_A_STAGE: u32 = 50;

impl Planner<'_> {
    /// What `[estimators]` asks about a model; `free_form` holds the `q*` of each measured part.
    pub(super) fn add_evidence(&mut self, model: &Frozen, free_form: &[StageId]) {
        let Some(annealed) = &self.spec.estimators.annealed else {
            return;
        };
        let annealed = annealed.get_ref();
        // How many points are simulated is nothing that an estimate depends on.
        let path = AnnealedSpec {
            simulated_points: None,
            ..annealed.clone()
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
        let simulated = annealed.simulated_points.map_or(0, |n| n.get());
        for chunk in Chunk::of_at_most(POINTS_A_STAGE, Split::Simulated, simulated) {
            self.add(Stage::Simulated {
                seed: model.seed,
                model: model.id.clone(),
                joint_encoder: model.joint_encoder.cloned(),
                chunk,
                free_form: self.spec.free_form.clone(),
                estimators: self.spec.estimators.bounds(),
                annealed: path.clone(),
            });
        }
    }
}
