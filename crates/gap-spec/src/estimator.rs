//! The estimators: one row of one table for each; and `[estimators]`, how each is run.

use crate::adaptive::AdaptiveSpec;
use crate::annealing::AnnealedSpec;
use crate::named_enum;
use crate::number::Count;
use serde::{Deserialize, Serialize};

named_enum! {
    /// Where the variational parameters of a `q` came from.
    Method {
        /// An ascent of its own for each datapoint: the reference `q*`.
        FreeForm = "free-form",
        /// One forward pass of an encoder.
        Amortized = "amortized",
        /// A fixed number of ascent steps from the encoder's output.
        Refined = "refined",
        /// No `q`: a property of the model and the datapoint alone.
        Model = "model",
    }
}

named_enum! {
    /// What was estimated.
    Estimator {
        /// The evidence lower bound `L[q]`.
        Elbo = "elbo",
        /// The importance-weighted bound `IW_K[q]` (Burda et al. 2016).
        ImportanceWeighted = "importance-weighted",
        /// The same draws with the largest weights smoothed (Vehtari et al. 2024): no bound.
        ParetoSmoothed = "pareto-smoothed",
        /// The importance-weighted bound with as many draws as its error asks for.
        AdaptiveImportanceWeighted = "importance-weighted-adaptive",
        /// Annealed importance sampling (Neal 2001; Wu et al. 2017).
        Annealed = "annealed",
        /// The same backwards from a draw of the posterior (Grosse et al. 2015).
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
        /// Not above it.
        Lower = "lower",
        /// Not below it.
        Upper = "upper",
        /// On it.
        Exact = "exact",
        /// On neither side for certain.
        Neither = "neither",
    }
}

/// What is known of an estimator before anything is estimated.
struct EstimatorFacts {
    estimator: Estimator,
    side: Side,
    /// How many draws of a fitted `q` it takes, and of which `q`s it is measured; none for an estimator that
    /// does not take them.
    draws_of_q: Option<DrawsOfQ>,
}

/// How many draws of a `q` an estimator takes, and of which `q`s it is measured.
#[derive(Clone, Copy)]
struct DrawsOfQ {
    count: fn(&BoundSpec) -> Count,
    measured: WhenMeasured,
}

/// Of which `q`s an estimator is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenMeasured {
    /// Of every one.
    Always,
    /// Of those that a method ends with: not after fewer refinement steps than the most.
    AtTheEnd,
}

/// In the order of [`Estimator`].
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

// A row stands where its name stands in the enum.
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

    /// On which side of `log p(x)` its expectation lies.
    pub const fn side(self) -> Side {
        self.facts().side
    }

    /// How many draws of a fitted `q` it takes; none for an estimator that does not take them.
    pub fn n_draws(self, bounds: &BoundSpec) -> Option<Count> {
        self.facts().draws_of_q.map(|draws| (draws.count)(bounds))
    }

    /// The estimators that a `q` is measured by; all of them where a method ends with it (`is_end`).
    pub fn for_fitted_q(is_end: bool) -> impl Iterator<Item = Self> {
        let measured = move |facts: &&EstimatorFacts| {
            facts
                .draws_of_q
                .is_some_and(|draws| is_end || draws.measured == WhenMeasured::Always)
        };
        ESTIMATORS.iter().filter(measured).map(|f| f.estimator)
    }
}

/// `[estimators]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EstimatorSpec {
    /// Draws per datapoint for an ELBO.
    pub elbo_samples: Count,
    /// `K`: draws per datapoint for the importance-weighted bound.
    pub iw_samples: Count,
    /// An importance-weighted bound of `q*` with as many draws as its error asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<AdaptiveSpec>,
    /// Annealed importance sampling.
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
    /// How the bounds of a `q` are estimated.
    pub const fn bounds(&self) -> BoundSpec {
        BoundSpec {
            elbo_samples: self.elbo_samples,
            iw_samples: self.iw_samples,
        }
    }
}

/// How the bounds of a `q` are estimated: what the stages of `q` depend on.
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
