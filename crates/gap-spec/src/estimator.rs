//! The estimators, with a table of their fixed properties, and `[estimators]`, their settings.

use crate::adaptive::AdaptiveSpec;
use crate::annealing::AnnealedSpec;
use crate::named_enum;
use crate::number::Count;
use serde::{Deserialize, Serialize};

named_enum! {
    /// How the variational parameters of a `q` were found.
    Method {
        /// An ascent of its own for each datapoint: the reference `q*`.
        FreeForm = "free-form",
        /// One forward pass of an encoder.
        Amortized = "amortized",
        /// A fixed number of ascent steps from the encoder's output.
        Refined = "refined",
        /// No `q`: the value depends on the model and the datapoint alone.
        Model = "model",
    }
}

named_enum! {
    /// What a value is: the result of an estimator, or an exact quantity.
    Estimator {
        /// The evidence lower bound `L[q]`.
        Elbo = "elbo",
        /// The importance-weighted bound `IW_K[q]` (Burda et al. 2016).
        ImportanceWeighted = "importance-weighted",
        /// The mean of the same importance weights with the largest ones smoothed (Vehtari et al. 2024); not a
        /// bound.
        ParetoSmoothed = "pareto-smoothed",
        /// The importance-weighted bound with `K` doubled until the bound's standard error reaches a target, or
        /// `K` its limit.
        AdaptiveImportanceWeighted = "importance-weighted-adaptive",
        /// Annealed importance sampling (Neal 2001; Wu et al. 2017).
        Annealed = "annealed",
        /// Annealed importance sampling backwards from a draw of the posterior (Grosse et al. 2015).
        AnnealedReverse = "annealed-reverse",
        /// The exact value of the ELBO of `q`, where the model gives one.
        ExactElbo = "exact-elbo",
        /// The exact `log p(x)`, where the model gives one.
        ClosedForm = "closed-form",
        /// The exact maximum of the ELBO within the family, where the model gives one.
        OptimalElbo = "optimal-elbo",
    }
}

named_enum! {
    /// On which side of `log p(x)` the expectation of an estimate lies.
    Side {
        /// At or below `log p(x)`.
        Lower = "lower",
        /// At or above `log p(x)`.
        Upper = "upper",
        /// At `log p(x)`.
        Exact = "exact",
        /// Not known to be on either side.
        Neither = "neither",
    }
}

/// The fixed properties of an estimator.
struct EstimatorFacts {
    estimator: Estimator,
    side: Side,
    /// How the estimator uses draws of a fitted `q`; `None` if it is not among those that are run on the `q` of
    /// every method.
    draws_of_q: Option<DrawsOfQ>,
}

/// How many draws of a `q` an estimator takes, and for which `q`s it is run.
#[derive(Clone, Copy)]
struct DrawsOfQ {
    count: fn(&BoundSpec) -> Count,
    measured: WhenMeasured,
}

/// The fitted `q`s for which an estimator is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenMeasured {
    /// All of them.
    Always,
    /// Only the final `q` of each method; for refinement, the `q` after the most steps.
    AtTheEnd,
}

/// One row for each estimator, in the order of [`Estimator`].
const ESTIMATORS: [EstimatorFacts; 9] = [
    EstimatorFacts {
        estimator: Estimator::Elbo,
        side: Side::Lower,
        draws_of_q: Some(DrawsOfQ {
            count: |bounds| bounds.elbo_samples,
            measured: WhenMeasured::Always,
        }),
    },
    EstimatorFacts {
        estimator: Estimator::ImportanceWeighted,
        side: Side::Lower,
        draws_of_q: Some(DrawsOfQ {
            count: |bounds| bounds.iw_samples,
            measured: WhenMeasured::AtTheEnd,
        }),
    },
    EstimatorFacts {
        estimator: Estimator::ParetoSmoothed,
        side: Side::Neither,
        draws_of_q: Some(DrawsOfQ {
            count: |bounds| bounds.iw_samples,
            measured: WhenMeasured::AtTheEnd,
        }),
    },
    EstimatorFacts {
        estimator: Estimator::AdaptiveImportanceWeighted,
        side: Side::Lower,
        draws_of_q: None,
    },
    EstimatorFacts {
        estimator: Estimator::Annealed,
        side: Side::Lower,
        draws_of_q: None,
    },
    EstimatorFacts {
        estimator: Estimator::AnnealedReverse,
        side: Side::Upper,
        draws_of_q: None,
    },
    EstimatorFacts {
        estimator: Estimator::ExactElbo,
        side: Side::Lower,
        draws_of_q: None,
    },
    EstimatorFacts {
        estimator: Estimator::ClosedForm,
        side: Side::Exact,
        draws_of_q: None,
    },
    EstimatorFacts {
        estimator: Estimator::OptimalElbo,
        side: Side::Lower,
        draws_of_q: None,
    },
];

// Checks at compile time that each row is at the index of its variant in the enum.
const _: () = {
    assert!(ESTIMATORS.len() == Estimator::ALL.len());
    let mut row = 0;
    while row < ESTIMATORS.len() {
        assert!(ESTIMATORS[row].estimator as usize == row);
        row += 1;
    }
};

impl Estimator {
    const fn facts(self) -> &'static EstimatorFacts {
        &ESTIMATORS[self as usize]
    }

    /// On which side of `log p(x)` the expectation of the estimator lies.
    pub const fn side(self) -> Side {
        self.facts().side
    }

    /// The number of draws of a fitted `q` that the estimator takes; `None` if it is not among those that are
    /// run on the `q` of every method.
    pub fn n_draws(self, bounds: &BoundSpec) -> Option<Count> {
        self.facts().draws_of_q.map(|draws| (draws.count)(bounds))
    }

    /// The estimators to run on a fitted `q`; `is_end` is whether it is the final `q` of its method.
    pub fn for_fitted_q(is_end: bool) -> impl Iterator<Item = Self> {
        let measured = move |facts: &&EstimatorFacts| {
            facts
                .draws_of_q
                .is_some_and(|draws| is_end || draws.measured == WhenMeasured::Always)
        };
        ESTIMATORS.iter().filter(measured).map(|f| f.estimator)
    }
}

/// `[estimators]`: the settings of all estimators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EstimatorSpec {
    /// Draws per datapoint for an ELBO.
    pub elbo_samples: Count,
    /// `K`: draws per datapoint for the importance-weighted bound.
    pub iw_samples: Count,
    /// The importance-weighted bound of `q*` with `K` doubled until the bound's standard error reaches a
    /// target, or `K` its limit; `None` to leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<AdaptiveSpec>,
    /// Annealed importance sampling; `None` to leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annealed: Option<AnnealedSpec>,
}

impl Default for EstimatorSpec {
    fn default() -> Self {
        let BoundSpec {
            elbo_samples,
            iw_samples,
        } = BoundSpec::default();
        Self {
            elbo_samples,
            iw_samples,
            adaptive: None,
            annealed: None,
        }
    }
}

impl EstimatorSpec {
    /// The numbers of draws for the lower bounds that are computed from a fitted `q`.
    pub const fn bounds(&self) -> BoundSpec {
        BoundSpec {
            elbo_samples: self.elbo_samples,
            iw_samples: self.iw_samples,
        }
    }
}

/// The numbers of draws for the lower bounds on `log p(x)` that are computed from a fitted `q`. The stages that
/// measure a `q` depend on no other keys of `[estimators]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BoundSpec {
    /// Draws per datapoint for an ELBO.
    pub elbo_samples: Count,
    /// `K`: draws per datapoint for the importance-weighted bound.
    pub iw_samples: Count,
}

impl Default for BoundSpec {
    fn default() -> Self {
        Self {
            elbo_samples: Count::new(1000),
            iw_samples: Count::new(1000),
        }
    }
}
