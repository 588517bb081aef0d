//! What one step of an ascent is: the rules, one row of one table for each, and the phase of an ascent that
//! takes steps by one.

use crate::family::Family;
use crate::named_enum;
use crate::precision::Precision;
use serde::Serialize;
use std::fmt;

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
        /// One whitened Sobol set, the same at each step: the sample-average approximation. Its optimum
        /// is off by what the set's third and higher moments miss.
        Fixed = "fixed",
        /// Consecutive blocks of one scrambled Sobol sequence: each block alone is even, and so is
        /// their union. The first six are whitened.
        Sequence = "sequence",
        /// The same, with blocks four times as large after the first six.
        GrowingSequence = "growing-sequence",
        /// A scrambled Sobol set of its own for each step.
        Fresh = "fresh",
        /// Independent draws for each datapoint and step, as published code has them.
        Independent = "independent",
    }
}

named_enum! {
    /// What ends a datapoint's ascent before its steps are spent.
    StoppingRule {
        /// A step promises less than a threshold.
        Decrement = "decrement",
        /// What is left after averaging all blocks is estimated to be less than a threshold: for
        /// [`StepRule::AveragedNewton`], whose steps promise mostly the noise of one block.
        AveragedDecrement = "averaged-decrement",
        /// More than 10 blocks of 100 steps without an improvement of their mean loss (Cremer et al. 2018,
        /// as their code has it).
        Plateau = "plateau",
        /// Nothing.
        Never = "never",
    }
}

impl StoppingRule {
    /// Whether it compares something with a threshold in nats.
    pub const fn has_threshold(self) -> bool {
        matches!(self, Self::Decrement | Self::AveragedDecrement)
    }

    /// Whether it needs the value of the loss, besides what the step rule needs.
    pub const fn reads_loss(self) -> bool {
        matches!(self, Self::Plateau)
    }
}

/// Of which families a rule takes steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SupportedFamilies {
    DiagonalGaussian,
    Gaussians,
    All,
}

/// What is known of a rule before any step is taken by it.
struct StepRuleFacts {
    rule: StepRule,
    scope: SupportedFamilies,
    /// Noise that it can take, its default first, and what to say of any other.
    noises: (&'static [NoiseSource], &'static str),
    /// Ends that it can have, its default first, and what to say of any other.
    stoppings: (&'static [StoppingRule], &'static str),
    /// Draws per datapoint and step of `[ascents.NAME]`, by default.
    n_samples: u32,
    /// Where its draws come from when it refines; none for a rule that does not.
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

/// In the order of [`StepRule`].
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

// A row stands where its name stands in the enum.
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

    /// Whether it takes steps of this family.
    pub fn supports(self, family: Family) -> bool {
        match self.facts().scope {
            SupportedFamilies::DiagonalGaussian => family == Family::DiagonalGaussian,
            SupportedFamilies::Gaussians => family.is_gaussian(),
            SupportedFamilies::All => true,
        }
    }

    /// The rules that refine an encoder's `q`, and where their draws then come from.
    pub fn refining_rules() -> impl Iterator<Item = (Self, NoiseSource)> {
        let rules = STEP_RULES.iter();
        rules.filter_map(|facts| Some((facts.rule, facts.refines_with?)))
    }

    /// Where the draws of `[ascents.NAME]` come from when it does not say.
    pub(crate) const fn default_noise(self) -> NoiseSource {
        self.facts().noises.0[0]
    }

    /// What is wrong with draws from `noise`, if anything is.
    pub(crate) fn objection_to_noise(self, noise: NoiseSource) -> Option<&'static str> {
        let (possible, otherwise) = self.facts().noises;
        (!possible.contains(&noise)).then_some(otherwise)
    }

    /// What ends an ascent of `[ascents.NAME]` when it does not say.
    pub(crate) const fn default_stopping(self) -> StoppingRule {
        self.facts().stoppings.0[0]
    }

    /// What is wrong with such an end, if anything is.
    pub(crate) fn objection_to_stopping(self, stopping: StoppingRule) -> Option<&'static str> {
        let (possible, otherwise) = self.facts().stoppings;
        (!possible.contains(&stopping)).then_some(otherwise)
    }

    /// Draws per datapoint and step of `[ascents.NAME]` when it does not say.
    pub(crate) const fn default_samples(self) -> u32 {
        self.facts().n_samples
    }
}

/// How Adam is run (Kingma and Ba 2015).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AdamSettings {
    /// The step size.
    pub learning_rate: f64,
    /// Whether the answer is an average of the iterates (polynomial-decay averaging, Shamir and
    /// Zhang 2013, §4) or the last one.
    pub averaged: bool,
    /// Whether it steps in `log σ²`, as published code does, or in `log σ`.
    pub log_variance: bool,
    /// What is added to the root of the second moment, nats: gradients that are smaller make smaller steps.
    pub epsilon: f64,
}

impl AdamSettings {
    /// The paper's.
    pub const DEFAULT_EPSILON: f64 = 1e-8;

    /// For families of which no curvature is known.
    pub const FLOW_DEFAULTS: Self = Self {
        learning_rate: 0.03,
        averaged: true,
        log_variance: false,
        // At a posterior that the family contains every draw's gradient is zero but for rounding, of which
        // an epsilon of 1e-8 would make steps as long as any.
        epsilon: 1e-3,
    };

    /// In `log σ`, with the paper's epsilon.
    pub const fn new(learning_rate: f64, averaged: bool) -> Self {
        Self {
            learning_rate,
            averaged,
            log_variance: false,
            epsilon: Self::DEFAULT_EPSILON,
        }
    }
}

/// A step rule, where its draws come from, and when it stops.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Phase {
    /// The step rule.
    pub rule: StepRule,
    /// How it is run, if it is [`StepRule::Adam`]; no other rule reads it.
    pub adam: AdamSettings,
    /// Where its draws come from.
    pub noise: NoiseSource,
    /// Draws per datapoint and evaluation.
    pub n_samples: u32,
    /// When a datapoint is done.
    pub stopping: StoppingRule,
    /// The threshold of a stopping rule that has one, nats.
    pub below_nats: f64,
    /// The most evaluations.
    pub max_steps: u32,
    /// How exact the products are of gradients that are asked for without a value.
    pub precision: Precision,
}

impl Phase {
    /// Steps by `rule` on its default draws, in full and without end but for `max_steps`; Adam as for
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
