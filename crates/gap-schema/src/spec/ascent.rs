//! `[ascents.NAME]`: ascents to compare, each a protocol or a step rule with its noise and stopping.

use super::{Count, Positive, Protocol};
use crate::record::named_enum;
use serde::{Deserialize, Serialize};
use toml::Spanned;

named_enum! {
    /// How one step of an ascent is made.
    StepRule {
        /// Limited-memory quasi-Newton steps with backtracking.
        Lbfgs = "lbfgs",
        /// Damped Newton steps with Stein's curvature.
        NewtonStein = "newton-stein",
        /// Newton steps averaged over blocks of new draws.
        AveragedNewton = "averaged-newton",
        /// The natural gradient in a trust region.
        NaturalGradient = "natural-gradient",
        /// Adam.
        Adam = "adam",
    }
}

named_enum! {
    /// Where the draws of each step come from.
    NoiseSource {
        /// One set, the same at each step: the sample-average approximation.
        Fixed = "fixed",
        /// Consecutive blocks of one randomised Sobol sequence.
        Sequence = "sequence",
        /// The same, with larger blocks after the first ones.
        GrowingSequence = "growing-sequence",
        /// A randomised Sobol set of its own for each step.
        Fresh = "fresh",
        /// Independent draws for each datapoint and step.
        Independent = "independent",
    }
}

named_enum! {
    /// What ends a datapoint's ascent before its steps are spent.
    StoppingRule {
        /// A step promises less than `below_nats`.
        Decrement = "decrement",
        /// What averaging leaves is estimated to be less than `below_nats`.
        AveragedDecrement = "averaged-decrement",
        /// More than 10 blocks of 100 steps without an improvement of their mean loss.
        Plateau = "plateau",
        /// Nothing.
        Never = "never",
    }
}

/// `[ascents.NAME]`: either a `protocol`, or a `rule` with all that goes with it.
///
/// A checked spec has one of the two, and the defaults of its rule filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AscentSpec {
    /// A protocol; it settles everything but `max_steps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Spanned<Protocol>>,
    /// The step rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Spanned<StepRule>>,
    /// Where its draws come from. Default: `fixed`; `growing-sequence` for `averaged-newton`, `fresh`
    /// for `adam`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<Spanned<NoiseSource>>,
    /// Draws per datapoint and step. Default: 32; 16 for `adam`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_samples: Option<Spanned<Count>>,
    /// What ends a datapoint's ascent. Default: `decrement`; `averaged-decrement` for
    /// `averaged-newton`, `never` for `adam`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<Spanned<StoppingRule>>,
    /// The threshold of `decrement` and `averaged-decrement`, nats. Default: 0.0005.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below_nats: Option<Spanned<Positive>>,
    /// The step size of `adam`. Default: 0.05.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<Spanned<Positive>>,
    /// Whether the answer of `adam` is an average of its iterates. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaged: Option<Spanned<bool>>,
    /// Steps after which a datapoint is given up. Default: 1000.
    #[serde(default = "a_thousand")]
    pub max_steps: Count,
}

const fn a_thousand() -> Count {
    Count::new(1000)
}

/// Where the draws of a rule come from when a spec does not say.
const fn default_noise(rule: StepRule) -> NoiseSource {
    match rule {
        StepRule::Lbfgs | StepRule::NewtonStein | StepRule::NaturalGradient => NoiseSource::Fixed,
        StepRule::AveragedNewton => NoiseSource::GrowingSequence,
        StepRule::Adam => NoiseSource::Fresh,
    }
}

/// What ends a rule's ascent when a spec does not say.
const fn default_stopping(rule: StepRule) -> StoppingRule {
    match rule {
        StepRule::Lbfgs | StepRule::NewtonStein | StepRule::NaturalGradient => {
            StoppingRule::Decrement
        }
        StepRule::AveragedNewton => StoppingRule::AveragedDecrement,
        StepRule::Adam => StoppingRule::Never,
    }
}

const fn has_threshold(stopping: StoppingRule) -> bool {
    match stopping {
        StoppingRule::Decrement | StoppingRule::AveragedDecrement => true,
        StoppingRule::Plateau | StoppingRule::Never => false,
    }
}

/// What an [`AscentSpec`] says, with its defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AscentKind {
    /// A protocol as it is published.
    Protocol(Protocol),
    /// A step rule of the spec's own settings.
    Rule {
        /// The step rule.
        rule: StepRule,
        /// Where its draws come from.
        noise: NoiseSource,
        /// Draws per datapoint and step.
        n_samples: u32,
        /// What ends a datapoint's ascent.
        stopping: StoppingRule,
        /// Its threshold, nats, if it has one.
        below_nats: f64,
        /// The step size, if it is `adam`.
        learning_rate: f64,
        /// Whether it averages, if it is `adam`.
        averaged: bool,
    },
}

impl AscentSpec {
    /// The settings, defaults filled in.
    pub fn kind(&self) -> AscentKind {
        let Some(rule) = &self.rule else {
            let protocol = self.protocol.as_ref().map(|protocol| *protocol.get_ref());
            return AscentKind::Protocol(protocol.unwrap_or(Protocol::Default));
        };
        let rule = *rule.get_ref();
        let n_samples = if rule == StepRule::Adam { 16 } else { 32 };
        AscentKind::Rule {
            rule,
            noise: written(&self.noise).unwrap_or(default_noise(rule)),
            n_samples: written(&self.n_samples).map_or(n_samples, Count::get),
            stopping: written(&self.stopping).unwrap_or(default_stopping(rule)),
            below_nats: written(&self.below_nats).map_or(5e-4, Positive::get),
            learning_rate: written(&self.learning_rate).map_or(0.05, Positive::get),
            averaged: written(&self.averaged).unwrap_or(true),
        }
    }

    /// Writes down the defaults of a rule, those keys only that go with it.
    pub(super) fn fill_in(&mut self) {
        let AscentKind::Rule {
            rule,
            noise,
            n_samples,
            stopping,
            below_nats,
            learning_rate,
            averaged,
        } = self.kind()
        else {
            return;
        };
        fn fill<T>(key: &mut Option<Spanned<T>>, value: T) {
            key.get_or_insert(Spanned::new(0..0, value));
        }
        fill(&mut self.noise, noise);
        fill(&mut self.n_samples, Count::new(n_samples));
        fill(&mut self.stopping, stopping);
        if has_threshold(stopping) {
            fill(&mut self.below_nats, Positive(below_nats));
        }
        if rule == StepRule::Adam {
            fill(&mut self.learning_rate, Positive(learning_rate));
            fill(&mut self.averaged, averaged);
        }
    }

    /// What contradicts itself: a key with its place, and what is wrong.
    pub(super) fn conflict(&self) -> Option<(&'static str, std::ops::Range<usize>, String)> {
        let Some(rule) = &self.rule else {
            return self.conflict_of_protocol();
        };
        if let Some(protocol) = &self.protocol {
            let message = format!(
                "does not go with `rule = \"{}\"`: a protocol has a rule of its own; remove one of the two",
                rule.get_ref()
            );
            return Some(("protocol", protocol.span(), message));
        }
        let rule = *rule.get_ref();
        let stopping = written(&self.stopping).unwrap_or(default_stopping(rule));
        if let Some(noise) = &self.noise {
            let fixed = *noise.get_ref() == NoiseSource::Fixed;
            let wrong = match rule {
                StepRule::Lbfgs | StepRule::NewtonStein | StepRule::NaturalGradient if !fixed => {
                    Some(
                        "compares values between steps, which must be taken on the same draws; use `noise = \"fixed\"`",
                    )
                }
                StepRule::AveragedNewton if fixed => Some(
                    "averages over new draws; use `noise = \"sequence\"`, `\"growing-sequence\"`, `\"fresh\"` or `\"independent\"`",
                ),
                _ => None,
            };
            if let Some(wrong) = wrong {
                let message = format!(
                    "is `{}`, which does not go with `rule = \"{rule}\"`: the rule {wrong}",
                    noise.get_ref()
                );
                return Some(("noise", noise.span(), message));
            }
        }
        if let Some(written) = &self.stopping {
            let wrong = match (rule, stopping) {
                (_, StoppingRule::Never) => None,
                (StepRule::Adam, StoppingRule::Plateau) => None,
                (StepRule::Adam, _) => {
                    Some("its steps promise nothing; use `\"plateau\"` or `\"never\"`")
                }
                (StepRule::AveragedNewton, StoppingRule::AveragedDecrement) => None,
                (StepRule::AveragedNewton, _) => {
                    Some("use `\"averaged-decrement\"` or `\"never\"`")
                }
                (_, StoppingRule::Decrement) => None,
                _ => Some("use `\"decrement\"` or `\"never\"`"),
            };
            if let Some(wrong) = wrong {
                let message =
                    format!("is `{stopping}`, which does not go with `rule = \"{rule}\"`: {wrong}");
                return Some(("stopping", written.span(), message));
            }
        }
        if let Some(below) = &self.below_nats
            && !has_threshold(stopping)
        {
            let message = format!(
                "does not go with `stopping = \"{stopping}\"`, which has no threshold; remove it"
            );
            return Some(("below_nats", below.span(), message));
        }
        let of_adam = [
            (
                "learning_rate",
                self.learning_rate.as_ref().map(Spanned::span),
            ),
            ("averaged", self.averaged.as_ref().map(Spanned::span)),
        ];
        let misplaced = of_adam.into_iter().find(|(_, span)| span.is_some());
        match misplaced {
            Some((key, Some(span))) if rule != StepRule::Adam => {
                let message = format!(
                    "does not go with `rule = \"{rule}\"`; remove it, or use `rule = \"adam\"`"
                );
                Some((key, span, message))
            }
            _ => None,
        }
    }

    fn conflict_of_protocol(&self) -> Option<(&'static str, std::ops::Range<usize>, String)> {
        let of_rules = [
            ("noise", self.noise.as_ref().map(Spanned::span)),
            ("n_samples", self.n_samples.as_ref().map(Spanned::span)),
            ("stopping", self.stopping.as_ref().map(Spanned::span)),
            ("below_nats", self.below_nats.as_ref().map(Spanned::span)),
            (
                "learning_rate",
                self.learning_rate.as_ref().map(Spanned::span),
            ),
            ("averaged", self.averaged.as_ref().map(Spanned::span)),
        ];
        let (key, span) = of_rules
            .into_iter()
            .find_map(|(key, span)| span.map(|span| (key, span)))?;
        let message = match &self.protocol {
            Some(protocol) => format!(
                "does not go with `protocol = \"{}\"`, which settles it; remove it, or give a `rule` instead",
                protocol.get_ref()
            ),
            None => "stands without a `rule`; give one, as in `rule = \"adam\"`".to_owned(),
        };
        Some((key, span, message))
    }
}

fn written<T: Copy>(key: &Option<Spanned<T>>) -> Option<T> {
    key.as_ref().map(|value| *value.get_ref())
}
