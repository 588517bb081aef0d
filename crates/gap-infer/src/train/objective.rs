//! What encoders are fitted by: a file for each objective.

mod elbo;
mod importance_weighted;
mod interface;
mod reweighted_wake;

pub use elbo::Elbo;
pub use importance_weighted::ImportanceWeighted;
pub use interface::{EncoderDraws, TrainingObjective};
pub use reweighted_wake::ReweightedWake;

use gap_spec::{ObjectiveKind, ObjectiveSpec};

/// Creates the objective that a spec asks for.
pub fn build_objective(spec: &ObjectiveSpec) -> Box<dyn TrainingObjective> {
    let n_importance = spec.draws_per_estimate();
    match spec.kind {
        ObjectiveKind::Elbo => Box::new(Elbo),
        ObjectiveKind::ImportanceWeighted => Box::new(ImportanceWeighted { n_importance }),
        ObjectiveKind::ReweightedWake => Box::new(ReweightedWake { n_importance }),
    }
}
