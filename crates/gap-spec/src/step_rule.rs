//! Step rules, with a table of their fixed properties, and the phases of an ascent, each of which uses one
//! rule.

use crate::family::Family;
use crate::named_enum;
use crate::precision::Precision;
use serde::Serialize;
use std::fmt;

named_enum! {
    /// How one step of an ascent is computed.
    StepRule {
        /// Limited-memory quasi-Newton steps with backtracking.
        Lbfgs = "lbfgs",
        /// Damped Newton steps, with the curvature from Stein's identity.
        NewtonStein = "newton-stein",
        /// Newton steps, each on new draws and scaled by their share of all draws so far, so that the iterate
        /// is an average over all draws.
        AveragedNewton = "averaged-newton",
        /// Natural-gradient steps, shortened until the ELBO rises enough.
        NaturalGradient = "natural-gradient",
        /// Adam.
        Adam = "adam",
    }
}

named_enum! {
    /// Where the draws of each step come from.
    NoiseSource {
        /// One whitened Sobol set for all steps: the sample-average approximation. The bias of its optimum
        /// comes only from the third and higher moments of the set.
        Fixed = "fixed",
        /// Consecutive blocks of one scrambled Sobol sequence, so that each block and the union of all are
        /// evenly spread. The first six blocks are whitened.
        Sequence = "sequence",
        /// As `sequence`, but with blocks four times as large after the first six.
        GrowingSequence = "growing-sequence",
        /// A new scrambled Sobol set for each step.
        Fresh = "fresh",
        /// Independent draws for each datapoint and step, as in published code.
        Independent = "independent",
    }
}

named_enum! {
    /// What ends a datapoint's ascent before its steps are spent.
    StoppingRule {
        /// The gain in ELBO that a step predicts is below a threshold.
        Decrement = "decrement",
        /// The error left after averaging over all blocks is estimated to be below a threshold. For
        /// [`StepRule::AveragedNewton`], whose predicted gains are mostly the noise of one block.
        AveragedDecrement = "averaged-decrement",
        /// The mean loss over 100 steps has not improved for more than 10 such blocks (Cremer et al. 2018, as
        /// in their code).
        Plateau = "plateau",
        /// Nothing: all steps are taken.
        Never = "never",
    }
}

impl StoppingRule {
    /// Whether the rule compares an estimate with a threshold in nats.
    pub const fn has_threshold(self) -> bool {
        matches!(self, Self::Decrement | Self::AveragedDecrement)
    }

    /// Whether the rule needs the value of the loss, which not every step rule computes.
    pub const fn reads_loss(self) -> bool {
        matches!(self, Self::Plateau)
    }
}

/// The families that a step rule supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SupportedFamilies {
    DiagonalGaussian,
    Gaussians,
    All,
}

/// The fixed properties of a step rule.
struct StepRuleFacts {
    rule: StepRule,
    scope: SupportedFamilies,
    /// The noise sources that the rule allows, the default first; and the error text for any other.
    noises: (&'static [NoiseSource], &'static str),
    /// The stopping rules that the rule allows, the default first; and the error text for any other.
    stoppings: (&'static [StoppingRule], &'static str),
    /// The default of `n_samples` in `[ascents.NAME]`: draws per datapoint and step.
    n_samples: u32,
    /// Where the draws come from in `[refinement]`; `None` for a rule that cannot refine.
    refines_with: Option<NoiseSource>,
}

const ALLOWS_FIXED_NOISE: (&[NoiseSource], &str) = (
    &[NoiseSource::Fixed],
    "compares values between steps, which must be taken on the same draws; use `noise = \"fixed\"`",
);

const ALLOWS_DECREMENT_OR_NEVER: (&[StoppingRule], &str) = (
    &[StoppingRule::Decrement, StoppingRule::Never],
    "use `\"decrement\"` or `\"never\"`",
);

/// One row for each rule, in the order of [`StepRule`].
const STEP_RULES: [StepRuleFacts; 5] = [
    StepRuleFacts {
        rule: StepRule::Lbfgs,
        scope: SupportedFamilies::DiagonalGaussian,
        noises: ALLOWS_FIXED_NOISE,
        stoppings: ALLOWS_DECREMENT_OR_NEVER,
        n_samples: 32,
        refines_with: None,
    },
    StepRuleFacts {
        rule: StepRule::NewtonStein,
        scope: SupportedFamilies::DiagonalGaussian,
        noises: ALLOWS_FIXED_NOISE,
        stoppings: ALLOWS_DECREMENT_OR_NEVER,
        n_samples: 32,
        refines_with: None,
    },
    StepRuleFacts {
        rule: StepRule::AveragedNewton,
        scope: SupportedFamilies::Gaussians,
        noises: (
            &[
                NoiseSource::GrowingSequence,
                NoiseSource::Sequence,
                NoiseSource::Fresh,
                NoiseSource::Independent,
            ],
            "averages over new draws; use `noise = \"sequence\"`, `\"growing-sequence\"`, `\"fresh\"` or `\"independent\"`",
        ),
        stoppings: (
            &[StoppingRule::AveragedDecrement, StoppingRule::Never],
            "use `\"averaged-decrement\"` or `\"never\"`",
        ),
        n_samples: 32,
        refines_with: Some(NoiseSource::Sequence),
    },
    StepRuleFacts {
        rule: StepRule::NaturalGradient,
        scope: SupportedFamilies::DiagonalGaussian,
        noises: ALLOWS_FIXED_NOISE,
        stoppings: ALLOWS_DECREMENT_OR_NEVER,
        n_samples: 32,
        refines_with: None,
    },
    StepRuleFacts {
        rule: StepRule::Adam,
        scope: SupportedFamilies::All,
        noises: (
            &[
                NoiseSource::Fresh,
                NoiseSource::Fixed,
                NoiseSource::Sequence,
                NoiseSource::GrowingSequence,
                NoiseSource::Independent,
            ],
            "takes any draws",
        ),
        stoppings: (
            &[StoppingRule::Never, StoppingRule::Plateau],
            "its steps promise nothing; use `\"plateau\"` or `\"never\"`",
        ),
        n_samples: 16,
        refines_with: Some(NoiseSource::Fresh),
    },
];

// Checks at compile time that each row is at the index of its variant in the enum.
const _: () = {
    assert!(STEP_RULES.len() == StepRule::ALL.len());
    let mut row = 0;
    while row < STEP_RULES.len() {
        assert!(STEP_RULES[row].rule as usize == row);
        row += 1;
    }
};

impl StepRule {
    const fn facts(self) -> &'static StepRuleFacts {
        &STEP_RULES[self as usize]
    }

    /// Whether the rule can take steps in this family.
    pub fn supports(self, family: Family) -> bool {
        match self.facts().scope {
            SupportedFamilies::DiagonalGaussian => family == Family::DiagonalGaussian,
            SupportedFamilies::Gaussians => family.is_gaussian(),
            SupportedFamilies::All => true,
        }
    }

    /// The rules that can refine an encoder's `q`, each with the source of its draws there.
    pub fn refining_rules() -> impl Iterator<Item = (Self, NoiseSource)> {
        let rules = STEP_RULES.iter();
        rules.filter_map(|facts| Some((facts.rule, facts.refines_with?)))
    }

    /// The default source of draws in `[ascents.NAME]`.
    pub(crate) const fn default_noise(self) -> NoiseSource {
        self.facts().noises.0[0]
    }

    /// Why the rule cannot use draws from `noise`; `None` if it can.
    pub(crate) fn objection_to_noise(self, noise: NoiseSource) -> Option<&'static str> {
        let (possible, otherwise) = self.facts().noises;
        (!possible.contains(&noise)).then_some(otherwise)
    }

    /// The default stopping rule in `[ascents.NAME]`.
    pub(crate) const fn default_stopping(self) -> StoppingRule {
        self.facts().stoppings.0[0]
    }

    /// Why the rule cannot have this stopping rule; `None` if it can.
    pub(crate) fn objection_to_stopping(self, stopping: StoppingRule) -> Option<&'static str> {
        let (possible, otherwise) = self.facts().stoppings;
        (!possible.contains(&stopping)).then_some(otherwise)
    }

    /// The default number of draws per datapoint and step in `[ascents.NAME]`.
    pub(crate) const fn default_samples(self) -> u32 {
        self.facts().n_samples
    }
}

/// The settings of Adam (Kingma and Ba 2015).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AdamSettings {
    /// The step size.
    pub learning_rate: f64,
    /// Whether the result is an average of the iterates (polynomial-decay averaging, Shamir and Zhang 2013, §4)
    /// rather than the last one.
    pub averaged: bool,
    /// Whether steps are taken in `log σ²`, as in published code, rather than in `log σ`.
    pub log_variance: bool,
    /// Added to the root of the second moment, nats. A parameter whose gradients are small compared with it
    /// takes short steps.
    pub epsilon: f64,
}

impl AdamSettings {
    /// The `epsilon` of Kingma and Ba (2015).
    pub const DEFAULT_EPSILON: f64 = 1e-8;

    /// The settings for flows and mixtures, families whose curvature is not estimated.
    pub const FLOW_DEFAULTS: Self = Self {
        learning_rate: 0.03,
        averaged: true,
        log_variance: false,
        // At the optimum of a family that contains the posterior, every draw's gradient is zero except for
        // rounding errors. With an epsilon of 1e-8, Adam would turn these errors into steps of full length.
        epsilon: 1e-3,
    };

    /// Settings for steps in `log σ`, with the `epsilon` of Kingma and Ba (2015).
    pub const fn new(learning_rate: f64, averaged: bool) -> Self {
        Self {
            learning_rate,
            averaged,
            log_variance: false,
            epsilon: Self::DEFAULT_EPSILON,
        }
    }
}

/// A phase of an ascent: a step rule, the source of its draws, and when it stops.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Phase {
    /// The step rule.
    pub rule: StepRule,
    /// The settings of [`StepRule::Adam`]; other rules ignore them.
    pub adam: AdamSettings,
    /// Where the draws come from.
    pub noise: NoiseSource,
    /// Draws per datapoint and evaluation.
    pub n_samples: u32,
    /// What ends a datapoint's phase before `max_steps`.
    pub stopping: StoppingRule,
    /// The threshold of a stopping rule that has one, nats.
    pub below_nats: f64,
    /// The most evaluations per datapoint.
    pub max_steps: u32,
    /// Whether the start is kept until the draws say that a step away from it gains: for starts that may be better
    /// than what few draws lead to. Only for [`StepRule::AveragedNewton`].
    pub keeps_start_until_certain: bool,
    /// The precision of the model's matrix products in evaluations of the gradient alone. An evaluation that
    /// also computes the loss always has full precision.
    pub precision: Precision,
}

impl Phase {
    /// A phase with the default draws of `rule`, in full precision, that only `max_steps` ends; Adam has
    /// [`AdamSettings::FLOW_DEFAULTS`].
    pub const fn new(rule: StepRule, max_steps: u32) -> Self {
        Self {
            rule,
            adam: AdamSettings::FLOW_DEFAULTS,
            noise: rule.default_noise(),
            n_samples: rule.default_samples(),
            stopping: StoppingRule::Never,
            below_nats: 0.0,
            max_steps,
            keeps_start_until_certain: false,
            precision: Precision::Full,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.rule, self.noise, self.n_samples)?;
        match self.precision {
            Precision::Full => Ok(()),
            Precision::Mixed => f.write_str("/half"),
        }
    }
}
