//! `[refinement]`: a few ascent steps from an encoder's output.

use crate::family::Family;
use crate::number::{Count, Positive};
use crate::precision::{Precision, default_precision};
use crate::step_rule::{AdamSettings, NoiseSource, Phase, StepRule, StoppingRule};
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

/// `[refinement]`: a few ascent steps from the encoder's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefinementSpec {
    /// The numbers of steps after which `q` is measured, in rising order.
    pub steps: Vec<Count>,
    /// The step rule. Default: `averaged-newton` for Gaussian families, `adam` for others.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "deserialize_refining_rule"
    )]
    pub rule: Option<StepRule>,
    /// Draws per datapoint and step. Default: 32.
    #[serde(default = "default_n_samples")]
    pub n_samples: Count,
    /// The step size; only for `adam`. Default: 0.03.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<Positive>,
    /// The precision of the matrix products in gradients.
    /// Default: `mixed`, or `full` in an experiment of 64 bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
}

/// With 0.05, one step from a good encoder's output lowered the mean ELBO.
pub(crate) const DEFAULT_ADAM_RATE: Positive = Positive::new(0.03);

const fn default_n_samples() -> Count {
    Count::new(32)
}

/// Reads the name of a step rule, which must be one that can refine.
fn deserialize_refining_rule<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<StepRule>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let mut rules = StepRule::refining_rules().map(|(rule, _)| rule);
    if let Some(rule) = rules.find(|rule| rule.as_str() == name) {
        return Ok(Some(rule));
    }
    let names: Vec<String> = StepRule::refining_rules()
        .map(|(rule, _)| format!("`{rule}`"))
        .collect();
    Err(D::Error::custom(format!(
        "unknown variant `{name}`, expected {}",
        names.join(" or ")
    )))
}

impl RefinementSpec {
    /// The default refinement, measured after these numbers of steps.
    pub const fn after_steps(steps: Vec<Count>) -> Self {
        Self {
            steps,
            rule: None,
            n_samples: default_n_samples(),
            learning_rate: None,
            precision: None,
        }
    }

    /// The numbers of steps after which `q` is measured, in rising order.
    pub fn numbers_of_steps(&self) -> Vec<u32> {
        self.steps.iter().map(|n| n.get()).collect()
    }

    /// The step rule for this family: the one in the spec, or else the first refining rule that supports the
    /// family.
    pub fn step_rule_for(&self, family: Family) -> StepRule {
        let mut fitting = StepRule::refining_rules().filter(|(rule, _)| rule.supports(family));
        let default = || fitting.next().map_or(StepRule::Adam, |(rule, _)| rule);
        self.rule.unwrap_or_else(default)
    }

    /// The refinement as one phase, whose number of steps is the largest in `steps`.
    pub fn phase(&self, family: Family) -> Phase {
        let rule = self.step_rule_for(family);
        let noise = StepRule::refining_rules().find(|(refining, _)| *refining == rule);
        let rate = self.learning_rate.unwrap_or(DEFAULT_ADAM_RATE);
        Phase {
            rule,
            adam: AdamSettings::new(rate.get(), true),
            noise: noise.map_or(NoiseSource::Fresh, |(_, noise)| noise),
            n_samples: self.n_samples.get(),
            stopping: StoppingRule::Never,
            below_nats: 0.0,
            keeps_start_until_certain: rule == StepRule::AveragedNewton,
            max_steps: self.numbers_of_steps().last().copied().unwrap_or(0),
            precision: self.precision.unwrap_or_else(default_precision),
        }
    }
}
