//! Refuses specs that cannot run, naming the key and the cure.

mod calibration;
mod data;
mod encoders;
mod estimators;
mod family;
mod inference;
mod likelihood;
mod model;
mod pictures;

use super::inference::DEFAULT_ADAM_RATE;
use super::{AscentSpec, ExperimentSpec, RefinementRule};
use std::ops::{Deref, Range};
use toml::Spanned;

/// A spec that contradicts itself: what is wrong, which key says so, and where that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecConflict {
    /// The key, as in `model.hidden`.
    pub key: String,
    /// What is wrong, and the cure.
    pub message: String,
    /// Its bytes in the file; empty where the spec does not hold them, as of `[ascents.NAME]`.
    pub span: Range<usize>,
}

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
    /// Refuses what cannot run, naming the key and the cure.
    ///
    /// # Errors
    ///
    /// The first [`SpecConflict`] in the order of the file's sections.
    pub fn check(mut self) -> Result<CheckedSpec, SpecConflict> {
        self.check_top()?;
        self.check_data()?;
        self.check_model()?;
        self.check_encoders()?;
        self.check_family()?;
        self.check_inference()?;
        self.check_ascents()?;
        self.check_estimators()?;
        self.check_calibration()?;
        self.check_pictures()?;
        self.fill_in();
        Ok(CheckedSpec(self))
    }

    fn check_top(&self) -> Result<(), SpecConflict> {
        let name = self.name.get_ref();
        if !is_plain_name(name) {
            return refuse(
                "name",
                &self.name,
                "must be letters, digits, `-`, `_` and `.`: it names a folder",
            );
        }
        let seeds = self.seeds.get_ref();
        if seeds.is_empty() {
            return refuse(
                "seeds",
                &self.seeds,
                "is empty; give at least one seed, as in [0]",
            );
        }
        if let Some(seed) = first_repeated(seeds) {
            return refuse(
                "seeds",
                &self.seeds,
                format!("has {seed} twice; each repetition needs a seed of its own"),
            );
        }
        Ok(())
    }

    /// Writes down the defaults that depend on other keys: the `spec.toml` of a run without variants
    /// then says them, and a stage is the same whether they were written or not.
    fn fill_in(&mut self) {
        if self.free_form.starts.is_none() {
            let starts = self.free_form_starts().to_vec();
            self.free_form.starts = Some(Spanned::new(0..0, starts));
        }
        self.ascents.values_mut().for_each(AscentSpec::fill_in);
        let Some(refinement) = &mut self.refinement else {
            return;
        };
        let refinement = refinement.get_mut();
        let rule = refinement.rule_for(self.family.kind);
        refinement.rule.get_or_insert(Spanned::new(0..0, rule));
        if rule == RefinementRule::Adam && refinement.learning_rate.is_none() {
            let rate = Spanned::new(0..0, DEFAULT_ADAM_RATE);
            refinement.learning_rate = Some(rate);
        }
    }
}

/// Whether a name can be that of a folder and part of a key.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(plain)
}

fn refuse<T>(key: &str, at: &Spanned<T>, message: impl Into<String>) -> Result<(), SpecConflict> {
    Err(SpecConflict {
        key: key.to_owned(),
        message: message.into(),
        span: at.span(),
    })
}

fn first_repeated<T: PartialEq>(items: &[T]) -> Option<&T> {
    items
        .iter()
        .enumerate()
        .find(|(i, item)| items[..*i].contains(item))
        .map(|(_, item)| item)
}
