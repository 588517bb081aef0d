//! Checks `[ascents.NAME]`: a protocol, or a rule with settings that apply to it.

use super::rates::check_learning_rate;
use super::{SpecConflict, check_draws, objection_to_name, refuse};
use crate::ascent::AscentSpec;
use crate::experiment::ExperimentSpec;
use crate::model::DecoderSharing;
use crate::step_rule::StepRule;

/// The most draws on which an ascent's distance from the optimum is measured: the 2¹⁶ points of a Sobol
/// sequence, and their negatives.
const MAX_TRACE_DRAWS: u32 = 1 << 17;

impl ExperimentSpec {
    pub(super) fn check_ascents(&self) -> Result<(), SpecConflict> {
        for (name, ascent) in &self.ascents {
            let key = format!("ascents.{name}");
            if let Some(objection) = objection_to_name(name, "be called by") {
                return refuse(&key, objection);
            }
            ascent.check(&key)?;
            if let Some(n_samples) = ascent.n_samples {
                check_draws(&format!("{key}.n_samples"), n_samples)?;
            }
            if let Some(rate) = ascent.learning_rate {
                check_learning_rate(&format!("{key}.learning_rate"), rate)?;
            }
        }
        let elbo_samples = self.estimators.elbo_samples.get();
        if !self.ascents.is_empty() && elbo_samples > MAX_TRACE_DRAWS {
            return refuse(
                "estimators.elbo_samples",
                format!(
                    "is {elbo_samples}, and the Sobol points on which `ascents` are compared end at {MAX_TRACE_DRAWS}; use at most that many, as in 512"
                ),
            );
        }
        if !self.ascents.is_empty() && self.model.decoder_sharing() == DecoderSharing::Joint {
            return refuse(
                "model.decoder",
                "is `joint`, which does not go with `ascents`: they are compared on one decoder; use `\"shared\"`",
            );
        }
        Ok(())
    }
}

impl AscentSpec {
    fn check(&self, key: &str) -> Result<(), SpecConflict> {
        match (self.protocol, self.rule) {
            (Some(_), Some(rule)) => refuse(
                &format!("{key}.protocol"),
                format!(
                    "does not go with `rule = \"{rule}\"`: a protocol has a rule of its own; remove one of the two"
                ),
            ),
            (_, Some(rule)) => self.check_rule(key, rule),
            (protocol, None) => {
                if let Some(rule_keys) = self.first_key_beside_a_rule() {
                    let message = match protocol {
                        Some(protocol) => format!(
                            "does not go with `protocol = \"{protocol}\"`, which settles it; remove it, or give a `rule` instead"
                        ),
                        None => {
                            "stands without a `rule`; give one, as in `rule = \"adam\"`".to_owned()
                        }
                    };
                    return refuse(&format!("{key}.{rule_keys}"), message);
                }
                match protocol {
                    Some(_) => Ok(()),
                    None => refuse(
                        key,
                        "has neither `protocol` nor `rule`; give one, as in `protocol = \"default\"`",
                    ),
                }
            }
        }
    }

    fn check_rule(&self, key: &str, rule: StepRule) -> Result<(), SpecConflict> {
        if let Some(noise) = self.noise
            && let Some(objection) = rule.objection_to_noise(noise)
        {
            return refuse(
                &format!("{key}.noise"),
                format!(
                    "is `{noise}`, which does not go with `rule = \"{rule}\"`: the rule {objection}"
                ),
            );
        }
        let stopping = self.stopping.unwrap_or(rule.default_stopping());
        if let Some(objection) = rule.objection_to_stopping(stopping) {
            return refuse(
                &format!("{key}.stopping"),
                format!("is `{stopping}`, which does not go with `rule = \"{rule}\"`: {objection}"),
            );
        }
        if self.below_nats.is_some() && !stopping.has_threshold() {
            return refuse(
                &format!("{key}.below_nats"),
                format!(
                    "does not go with `stopping = \"{stopping}\"`, which has no threshold; remove it"
                ),
            );
        }
        let adam_keys = [
            ("learning_rate", self.learning_rate.is_some()),
            ("averaged", self.averaged.is_some()),
        ];
        match adam_keys.into_iter().find(|(_, is_written)| *is_written) {
            Some((own, _)) if rule != StepRule::Adam => refuse(
                &format!("{key}.{own}"),
                format!(
                    "does not go with `rule = \"{rule}\"`; remove it, or use `rule = \"adam\"`"
                ),
            ),
            _ => Ok(()),
        }
    }

    /// The first key in the spec that is allowed only together with a `rule`; `None` if there is none.
    fn first_key_beside_a_rule(&self) -> Option<&'static str> {
        let rule_keys = [
            ("noise", self.noise.is_some()),
            ("n_samples", self.n_samples.is_some()),
            ("stopping", self.stopping.is_some()),
            ("below_nats", self.below_nats.is_some()),
            ("learning_rate", self.learning_rate.is_some()),
            ("averaged", self.averaged.is_some()),
        ];
        let written = rule_keys.into_iter().find(|(_, is_written)| *is_written);
        written.map(|(key, _)| key)
    }
}
