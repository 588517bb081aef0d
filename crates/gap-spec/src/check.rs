//! Refuses specs that cannot run, with a message that names the key and how to correct it.

mod ascents;
mod calibration;
mod data;
mod encoders;
mod estimators;
mod family;
mod inference;
mod likelihood;
mod model;
mod names;
mod pictures;
mod rates;

use crate::ascent::AscentSpec;
use crate::experiment::ExperimentSpec;
use crate::number::Count;
use crate::precision::{FloatPrecision, Precision, default_precision};
use crate::refinement::DEFAULT_ADAM_RATE;
use crate::search::FreeFormSpec;
use crate::step_rule::StepRule;
use names::check_experiment_name;
pub(crate) use names::objection_to_name;
use std::collections::HashSet;
use std::hash::Hash;
use std::ops::Deref;

/// A mistake in a spec that parses: its key, and what is wrong. [`crate::document`] finds the place of the key
/// in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecConflict {
    /// The key, as in `model.hidden`.
    pub key: String,
    /// What is wrong, and how to correct it.
    pub message: String,
}

/// The most dimensions of the Sobol points that an ascent's draws are computed from.
const MAX_SOBOL_DIMENSIONS: usize = 256;

/// The most draws per step. A Sobol sequence has 2¹⁶ points, which must last for several steps.
const MAX_DRAWS_PER_STEP: u32 = 8192;

/// A spec that can run.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedSpec(ExperimentSpec);

impl Deref for CheckedSpec {
    type Target = ExperimentSpec;
    fn deref(&self) -> &ExperimentSpec {
        &self.0
    }
}

impl ExperimentSpec {
    /// Checks the spec and fills in its defaults.
    ///
    /// # Errors
    ///
    /// The first [`SpecConflict`] in the order of the file's sections.
    pub fn check(mut self) -> Result<CheckedSpec, SpecConflict> {
        self.check_top_level_keys()?;
        self.check_precision()?;
        self.check_data()?;
        self.check_model()?;
        self.check_encoders()?;
        self.check_family()?;
        self.check_inference()?;
        self.check_ascents()?;
        self.check_estimators()?;
        self.check_calibration()?;
        self.check_pictures()?;
        self.fill_in_defaults();
        Ok(CheckedSpec(self))
    }

    /// Refuses products of less precision than everything else has.
    fn check_precision(&self) -> Result<(), SpecConflict> {
        if self.precision.is_single() {
            return Ok(());
        }
        let annealed = self.estimators.annealed.iter();
        let annealed = annealed.map(|a| ("estimators.annealed".to_owned(), a.precision));
        let searches = self
            .all_searches()
            .map(|(section, s)| (section, s.precision));
        let refinements = self.all_refinements();
        let refinements = refinements.map(|(section, r)| (section, r.precision));
        for (section, precision) in searches.chain(refinements).chain(annealed) {
            if precision == Some(Precision::Mixed) {
                return refuse(
                    &format!("{section}.precision"),
                    "is \"mixed\", but all products have 64 bits with `precision = \"double\"`; remove one of the two keys",
                );
            }
        }
        Ok(())
    }

    fn check_top_level_keys(&self) -> Result<(), SpecConflict> {
        check_experiment_name(&self.name)?;
        let seeds = &self.seeds;
        if seeds.is_empty() {
            return refuse("seeds", "is empty; give at least one seed, as in [0]");
        }
        if let Some(seed) = first_repeated(seeds) {
            return refuse(
                "seeds",
                format!("has {seed} twice; each repetition needs a seed of its own"),
            );
        }
        Ok(())
    }

    /// Fills in the defaults that depend on other keys. They then appear in the `spec.toml` of a run without
    /// variants, and a stage has the same name whether its defaults were written out or not.
    fn fill_in_defaults(&mut self) {
        let precision = match self.precision {
            FloatPrecision::Single => default_precision(),
            FloatPrecision::Double => Precision::Full,
        };
        let filled_in = |search: &FreeFormSpec| FreeFormSpec {
            starts: Some(self.starts_of(search).to_vec()),
            precision: Some(search.precision.unwrap_or(precision)),
            ..search.clone()
        };
        let free_form = filled_in(&self.free_form);
        let protocols = self.protocols.iter();
        let protocols = protocols.map(|(name, search)| (name.clone(), filled_in(search)));
        (self.protocols, self.free_form) = (protocols.collect(), free_form);
        if let Some(annealed) = &mut self.estimators.annealed {
            annealed.precision.get_or_insert(precision);
        }
        self.ascents
            .values_mut()
            .for_each(AscentSpec::fill_in_defaults);
        for encoder in &mut self.encoders {
            encoder.objective.fill_in_defaults();
        }
        let refinements = self.refinement.iter_mut();
        for refinement in refinements.chain(self.refinements.values_mut()) {
            let rule = refinement.step_rule_for(self.family.kind);
            refinement.rule = Some(rule);
            refinement.precision.get_or_insert(precision);
            if rule == StepRule::Adam {
                refinement.learning_rate.get_or_insert(DEFAULT_ADAM_RATE);
            }
        }
    }
}

fn refuse(key: &str, message: impl Into<String>) -> Result<(), SpecConflict> {
    Err(SpecConflict {
        key: key.to_owned(),
        message: message.into(),
    })
}

fn check_draws(key: &str, n_samples: Count) -> Result<(), SpecConflict> {
    if n_samples.get() <= MAX_DRAWS_PER_STEP {
        return Ok(());
    }
    refuse(
        key,
        format!("is above {MAX_DRAWS_PER_STEP}, where the Sobol points of a step end"),
    )
}

fn first_repeated<T: Eq + Hash>(items: &[T]) -> Option<&T> {
    let mut seen = HashSet::new();
    items.iter().find(|item| !seen.insert(*item))
}
