//! `[ascents.NAME]`: ascents to compare, each a protocol or a step rule with its noise and stopping rule.

use crate::number::{Count, Positive};
use crate::precision::Precision;
use crate::search::Protocol;
use crate::step_rule::{AdamSettings, NoiseSource, Phase, StepRule, StoppingRule};
use serde::{Deserialize, Serialize};

/// `[ascents.NAME]`: either a `protocol`, or a `rule` with its settings.
///
/// A checked spec has one of the two, with the rule's defaults filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AscentSpec {
    /// The protocol, which fixes all settings but `max_steps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// The step rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<StepRule>,
    /// Where the draws come from. Default: `fixed`; `growing-sequence` for `averaged-newton`, `fresh` for
    /// `adam`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseSource>,
    /// Draws per datapoint and step. Default: 32; 16 for `adam`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_samples: Option<Count>,
    /// What ends a datapoint's ascent. Default: `decrement`; `averaged-decrement` for
    /// `averaged-newton`, `never` for `adam`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<StoppingRule>,
    /// The threshold of `decrement` and `averaged-decrement`, nats. Default: 0.0005.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below_nats: Option<Positive>,
    /// The step size of `adam`. Default: 0.05.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<Positive>,
    /// Whether the result of `adam` is an average of its iterates. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaged: Option<bool>,
    /// The most steps in each phase of a datapoint's ascent. Default: 1000.
    #[serde(default = "default_max_steps")]
    pub max_steps: Count,
}

const fn default_max_steps() -> Count {
    Count::new(1000)
}

/// The ascent that an [`AscentSpec`] describes, with defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ascent {
    /// A protocol, whose settings are fixed.
    Protocol(Protocol),
    /// A step rule with the spec's own settings.
    Steps(Phase),
}

impl AscentSpec {
    /// Returns the ascent, with defaults filled in; a step rule's gradients have this precision.
    pub fn ascent(&self, precision: Precision) -> Ascent {
        let Some(rule) = self.rule else {
            return Ascent::Protocol(self.protocol.unwrap_or(Protocol::Default));
        };
        let rate = self.learning_rate.map_or(0.05, Positive::get);
        Ascent::Steps(Phase {
            rule,
            adam: AdamSettings::new(rate, self.averaged.unwrap_or(true)),
            noise: self.noise.unwrap_or(rule.default_noise()),
            n_samples: self.n_samples.map_or(rule.default_samples(), Count::get),
            stopping: self.stopping.unwrap_or(rule.default_stopping()),
            below_nats: self.below_nats.map_or(5e-4, Positive::get),
            max_steps: self.max_steps.get(),
            keeps_start_until_certain: false,
            precision,
        })
    }

    /// Writes the rule's defaults into the spec, but only for keys that apply to the rule.
    pub(crate) fn fill_in_defaults(&mut self) {
        let Ascent::Steps(phase) = self.ascent(Precision::Full) else {
            return;
        };
        self.noise.get_or_insert(phase.noise);
        self.n_samples.get_or_insert(Count::new(phase.n_samples));
        self.stopping.get_or_insert(phase.stopping);
        if phase.stopping.has_threshold() {
            let below = Positive::new(phase.below_nats);
            self.below_nats.get_or_insert(below);
        }
        if phase.rule == StepRule::Adam {
            let rate = Positive::new(phase.adam.learning_rate);
            self.learning_rate.get_or_insert(rate);
            self.averaged.get_or_insert(phase.adam.averaged);
        }
    }
}
