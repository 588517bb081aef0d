//! `[free_form]`, `[refinement]` and `[ascents.NAME]`.

use super::{SpecConflict, first_repeated, is_plain_name, refuse};
use crate::spec::{Count, DecoderSharing, ExperimentSpec, RefinementRule, Start};
use toml::Spanned;

/// A step takes its draws from a Sobol sequence of 2¹⁶ points, which must last for a few steps.
const MOST_DRAWS_PER_STEP: u32 = 8192;

/// The bound on a remaining distance starts at 2e-4 nats, for the accuracy of `f32`.
const LEAST_TOLERANCE_NATS: f64 = 5e-4;

impl ExperimentSpec {
    pub(super) fn check_inference(&self) -> Result<(), SpecConflict> {
        if let Some(starts) = &self.free_form.starts {
            self.check_starts(starts)?;
        }
        let tolerance = &self.free_form.tolerance_nats;
        if tolerance.get_ref().get() < LEAST_TOLERANCE_NATS {
            return refuse(
                "free_form.tolerance_nats",
                tolerance,
                format!(
                    "is {}, below what 32-bit scores can certify; use {LEAST_TOLERANCE_NATS} or more",
                    tolerance.get_ref().get()
                ),
            );
        }
        self.check_refinement()
    }

    fn check_refinement(&self) -> Result<(), SpecConflict> {
        let Some(refinement) = &self.refinement else {
            return Ok(());
        };
        let refinement = refinement.get_ref();
        let steps = refinement.numbers_of_steps();
        if steps.is_empty() || !steps.is_sorted_by(|a, b| a < b) {
            return refuse(
                "refinement.steps",
                &refinement.steps,
                "must be rising numbers of steps, as in [1, 5, 20]",
            );
        }
        check_draws("refinement.n_samples", &refinement.n_samples)?;
        let rule = refinement.rule_for(self.family.kind);
        match (rule, &refinement.learning_rate) {
            (RefinementRule::AveragedNewton, Some(rate)) => refuse(
                "refinement.learning_rate",
                rate,
                "does not go with `refinement.rule = \"averaged-newton\"`, whose steps have their own size; remove it, or use `refinement.rule = \"adam\"`",
            ),
            _ => Ok(()),
        }
    }

    fn check_starts(&self, starts: &Spanned<Vec<Start>>) -> Result<(), SpecConflict> {
        if starts.get_ref().is_empty() {
            return refuse(
                "free_form.starts",
                starts,
                "is empty; use [\"prior\"], [\"encoder\"] or both",
            );
        }
        if let Some(start) = first_repeated(starts.get_ref()) {
            return refuse("free_form.starts", starts, format!("has `{start}` twice"));
        }
        if starts.get_ref().contains(&Start::Encoder) && self.model.training.is_none() {
            return refuse(
                "free_form.starts",
                starts,
                "has `encoder`, but this model is not fitted, so no encoder comes with it; use [\"prior\"]",
            );
        }
        Ok(())
    }

    pub(super) fn check_ascents(&self) -> Result<(), SpecConflict> {
        for (name, ascent) in &self.ascents {
            let unplaced = |message: &str| SpecConflict {
                key: format!("ascents.{name}"),
                message: message.to_owned(),
                span: 0..0,
            };
            if !is_plain_name(name) {
                return Err(unplaced(
                    "must be called by letters, digits, `-`, `_` and `.`",
                ));
            }
            if let Some((key, span, message)) = ascent.conflict() {
                return Err(SpecConflict {
                    key: format!("ascents.{name}.{key}"),
                    message,
                    span,
                });
            }
            if ascent.protocol.is_none() && ascent.rule.is_none() {
                return Err(unplaced(
                    "has neither `protocol` nor `rule`; give one, as in `protocol = \"default\"`",
                ));
            }
            if let Some(n_samples) = &ascent.n_samples {
                check_draws(&format!("ascents.{name}.n_samples"), n_samples)?;
            }
        }
        if !self.ascents.is_empty() && self.decoder_sharing() == DecoderSharing::Joint {
            let decoder = self.model.decoder.as_ref();
            return refuse(
                "model.decoder",
                decoder.expect("shared is the default"),
                "is `joint`, which does not go with `ascents`: they are compared on one decoder; use `\"shared\"`",
            );
        }
        Ok(())
    }
}

fn check_draws(key: &str, n_samples: &Spanned<Count>) -> Result<(), SpecConflict> {
    if n_samples.get_ref().get() <= MOST_DRAWS_PER_STEP {
        return Ok(());
    }
    let message = format!("is above {MOST_DRAWS_PER_STEP}, where the Sobol points of a step end");
    refuse(key, n_samples, message)
}
