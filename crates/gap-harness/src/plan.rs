//! A checked spec as content-addressed stages, dependencies first.
//!
//! A stage's name is a digest of everything that its numbers depend on: its own settings, the names of the
//! stages that it depends on, the source files whose code can change a result (listed in `build.rs`), the
//! device, and the code paths of the math library and the fused kernels. If anything else changes (batch size,
//! number of workers, later stages), finished stages are still used.

mod evidence;
mod memory;
mod planner;
pub mod size;

use crate::stage_id::{Environment, StageId};
use crate::stored_models::StoredModels;
use crate::work::{ModelWork, Stage};
use gap_spec::{Family, Problem};
use planner::Planner;
use std::collections::BTreeMap;

/// The stages of one problem of an experiment, each after those that it depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    variant: Option<String>,
    family: Family,
    family_params: u64,
    stages: Vec<(StageId, Stage)>,
}

impl Plan {
    /// The plan of `problem`, which takes the models that are in `stored`.
    pub fn new(problem: &Problem, environment: &Environment, stored: &StoredModels) -> Self {
        Self {
            variant: problem.variant.clone(),
            family: problem.spec.family.kind,
            family_params: problem
                .spec
                .family
                .kind
                .param_dim(problem.spec.model.latent_dim.get() as usize)
                as u64,
            stages: Planner::stages(&problem.spec, environment, stored),
        }
    }

    /// The name of the variant; `None` for an experiment without variants.
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// The variational family that the plan measures.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// The number of parameters of one `q` of that family.
    pub const fn family_params(&self) -> u64 {
        self.family_params
    }

    /// The stages, each after those that it depends on.
    pub fn stages(&self) -> &[(StageId, Stage)] {
        &self.stages
    }

    /// The pieces of work that make models.
    pub fn model_works(&self) -> impl Iterator<Item = &ModelWork> {
        self.stages.iter().filter_map(|(_, stage)| match stage {
            Stage::Model(work) => Some(work.as_ref()),
            _ => None,
        })
    }

    /// The digests of the stored models that are taken, by the settings of the fits.
    pub fn stored_models(&self) -> BTreeMap<String, String> {
        let works = self.model_works();
        works
            .filter_map(|work| Some((work.settings(), work.stored.clone()?)))
            .collect()
    }

    /// The settings of the models that are fitted.
    pub fn settings_of_fits(&self) -> Vec<String> {
        let fitted = self
            .model_works()
            .filter(|work| work.model.training.is_some());
        fitted.map(ModelWork::settings).collect()
    }

    /// A digest of the whole plan.
    pub fn digest(&self) -> String {
        digest(std::slice::from_ref(self))
    }
}

/// A digest of all plans of an experiment.
pub fn digest(plans: &[Plan]) -> String {
    let mut hasher = blake3::Hasher::new();
    for plan in plans {
        hasher.update(plan.variant().unwrap_or_default().as_bytes());
        for (id, _) in &plan.stages {
            hasher.update(id.as_bytes());
        }
    }
    hasher.finalize().to_hex()[..16].to_owned()
}
