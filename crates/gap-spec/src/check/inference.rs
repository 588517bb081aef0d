//! Checks `[free_form]`, `[protocols.NAME]`, `[refinement]` and `[refinements.NAME]`.

use super::rates::check_learning_rate;
use super::{SpecConflict, check_draws, first_repeated, objection_to_name, refuse};
use crate::experiment::ExperimentSpec;
use crate::precision::FloatPrecision;
use crate::refinement::RefinementSpec;
use crate::search::{FreeFormSpec, Start};
use crate::step_rule::StepRule;

/// The smallest tolerance. A bound on the distance to the optimum includes 2e-4 nats for the accuracy of `f32`, and 1e-9
/// for that of `f64`.
const fn min_tolerance_nats(precision: FloatPrecision) -> f64 {
    match precision {
        FloatPrecision::Single => 5e-4,
        FloatPrecision::Double => 1e-8,
    }
}

/// The most random starts of a datapoint.
const MOST_RANDOM_STARTS: u32 = 1000;

/// The fewest draws of a Newton step from an encoder's output. With four, in ten dimensions, gaps grew by a
/// tenth.
const MIN_REFINING_DRAWS: u32 = 16;

impl ExperimentSpec {
    pub(super) fn check_inference(&self) -> Result<(), SpecConflict> {
        let protocols = self.protocols.keys().map(|name| ("protocols", name));
        let refinements = self.refinements.keys().map(|name| ("refinements", name));
        for (section, name) in protocols.chain(refinements) {
            if let Some(objection) = objection_to_name(name, "be called by") {
                return refuse(&format!("{section}.{name}"), objection);
            }
        }
        for (section, search) in self.all_searches() {
            self.check_search(&section, search)?;
        }
        for (section, refinement) in self.all_refinements() {
            self.check_refinement(&section, refinement)?;
        }
        Ok(())
    }

    fn check_search(&self, section: &str, search: &FreeFormSpec) -> Result<(), SpecConflict> {
        if let Some(starts) = &search.starts {
            self.check_starts(&format!("{section}.starts"), starts)?;
        }
        let random_starts = search.random_starts;
        if random_starts > MOST_RANDOM_STARTS {
            return refuse(
                &format!("{section}.random_starts"),
                format!(
                    "is {random_starts}, and `{section}.max_steps` is shared among all starts; use {MOST_RANDOM_STARTS} or fewer"
                ),
            );
        }
        let tolerance = search.tolerance_nats.get();
        let least = min_tolerance_nats(self.precision);
        if tolerance < least {
            let message = match self.precision {
                FloatPrecision::Single => format!(
                    "is {tolerance}, below what 32-bit scores can certify; use {least} or more, or `precision = \"double\"`"
                ),
                FloatPrecision::Double => format!(
                    "is {tolerance:e}, below what 64-bit scores can certify; use {least:e} or more"
                ),
            };
            return refuse(&format!("{section}.tolerance_nats"), message);
        }
        Ok(())
    }

    fn check_refinement(
        &self,
        section: &str,
        refinement: &RefinementSpec,
    ) -> Result<(), SpecConflict> {
        let key = |name: &str| format!("{section}.{name}");
        let steps = refinement.numbers_of_steps();
        if steps.is_empty() || !steps.is_sorted_by(|a, b| a < b) {
            return refuse(
                &key("steps"),
                "must be rising numbers of steps, as in [1, 5, 20]",
            );
        }
        check_draws(&key("n_samples"), refinement.n_samples)?;
        if let Some(rate) = refinement.learning_rate {
            check_learning_rate(&key("learning_rate"), rate)?;
        }
        let rule = refinement.step_rule_for(self.family.kind);
        let n_samples = refinement.n_samples.get();
        if rule == StepRule::AveragedNewton && n_samples < MIN_REFINING_DRAWS {
            return refuse(
                &key("n_samples"),
                format!(
                    "is {n_samples}, with which steps by `{rule}` cannot tell their gain from their noise; use {MIN_REFINING_DRAWS} or more, or `{section}.rule = \"adam\"`"
                ),
            );
        }
        if rule != StepRule::Adam && refinement.learning_rate.is_some() {
            return refuse(
                &key("learning_rate"),
                format!(
                    "does not go with `{section}.rule = \"{rule}\"`, whose steps have their own size; remove it, or use `{section}.rule = \"adam\"`"
                ),
            );
        }
        Ok(())
    }

    fn check_starts(&self, key: &str, starts: &[Start]) -> Result<(), SpecConflict> {
        if starts.is_empty() {
            return refuse(key, "is empty; use [\"prior\"], [\"encoder\"] or both");
        }
        if let Some(start) = first_repeated(starts) {
            return refuse(key, format!("has `{start}` twice"));
        }
        if starts.contains(&Start::Encoder) && self.model.training.is_none() {
            return refuse(
                key,
                "has `encoder`, but this model is not fitted, so no encoder comes with it; use [\"prior\"]",
            );
        }
        Ok(())
    }
}
