//! `[free_form]` and `[refinement]`: how `q*` is found, and how an encoder's `q` is improved.

use super::precision::{Precision, mixed};
use super::{Count, Positive};
use crate::record::{Family, named_enum};
use serde::{Deserialize, Serialize};
use toml::Spanned;

named_enum! {
    /// Where a free-form ascent starts.
    Start {
        /// The prior: `μ = 0`, `σ = 1`.
        Prior = "prior",
        /// The output of the encoder that was fitted jointly with the decoder.
        Encoder = "encoder",
    }
}

named_enum! {
    /// How a free-form ascent is carried out.
    Protocol {
        /// Newton steps, from many dimensions after L-BFGS, until the certificate is content.
        Default = "default",
        /// That of Cremer et al. 2018, as their code has it: Adam at 1e-3 in `(μ, log σ²)` on 50
        /// independent draws, until more than 10 blocks of 100 steps bring no improvement.
        AdamCremer2018 = "adam-cremer-2018",
    }
}

named_enum! {
    /// The steps that refine an encoder's `q`.
    RefinementRule {
        /// Newton steps, averaged over blocks of new draws.
        AveragedNewton = "averaged-newton",
        /// Adam with a fixed step; the answer is an average of the iterates.
        Adam = "adam",
    }
}

/// `[free_form]`: an ascent of its own for each datapoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FreeFormSpec {
    /// Where to start; with several, the better end is kept for each datapoint. Default: see
    /// [`super::ExperimentSpec::free_form_starts`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<Spanned<Vec<Start>>>,
    /// How the ascent is carried out.
    pub protocol: Spanned<Protocol>,
    /// A datapoint has converged when the bound on its distance to the optimum is below this, nats.
    pub tolerance_nats: Spanned<Positive>,
    /// Steps after which a datapoint is given up. The Adam of `adam-cremer-2018` needs some ten
    /// thousand before its own rule stops it; 100000 leaves it room.
    pub max_steps: Count,
    /// How exact the products of gradients are, here and in `[ascents]`.
    pub precision: Precision,
}

impl Default for FreeFormSpec {
    fn default() -> Self {
        Self {
            starts: None,
            protocol: Spanned::new(0..0, Protocol::Default),
            tolerance_nats: Spanned::new(0..0, Positive(0.01)),
            max_steps: Count::new(5000),
            precision: Precision::Mixed,
        }
    }
}

/// `[refinement]`: a few steps from the encoder's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefinementSpec {
    /// The numbers of steps after which `q` is measured, rising.
    pub steps: Spanned<Vec<Count>>,
    /// What a step is. Default: `averaged-newton` for Gaussian families, `adam` for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Spanned<RefinementRule>>,
    /// Draws per datapoint and step.
    #[serde(default = "thirty_two")]
    pub n_samples: Spanned<Count>,
    /// The step size of `adam`; no other rule has one. Default: 0.03.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<Spanned<Positive>>,
    /// How exact the products of gradients are.
    #[serde(default = "mixed")]
    pub precision: Precision,
}

/// With 0.05 one step from a good encoder lost more than it gained.
pub(super) const DEFAULT_ADAM_RATE: Positive = Positive(0.03);

impl RefinementSpec {
    /// The numbers of steps, rising.
    pub fn numbers_of_steps(&self) -> Vec<u32> {
        self.steps.get_ref().iter().map(|n| n.get()).collect()
    }

    /// What a step is, for this family: what is written, or its default.
    pub fn rule_for(&self, family: Family) -> RefinementRule {
        let default = match family.is_gaussian() {
            true => RefinementRule::AveragedNewton,
            false => RefinementRule::Adam,
        };
        self.rule.as_ref().map_or(default, |rule| *rule.get_ref())
    }

    /// What a step is, of a checked spec: defaults are written there.
    pub fn rule(&self) -> RefinementRule {
        self.rule_for(Family::DiagonalGaussian)
    }

    /// The step size of `adam`.
    pub fn learning_rate(&self) -> f64 {
        let written = self.learning_rate.as_ref();
        written
            .map_or(DEFAULT_ADAM_RATE, |rate| *rate.get_ref())
            .get()
    }
}

fn thirty_two() -> Spanned<Count> {
    Spanned::new(0..0, Count::new(32))
}
