//! What stages are given besides parts of a spec: which points, which data, which estimator.

use gap_schema::CheckedSpec;
use gap_schema::record::{Estimator, Split};
use gap_schema::spec::{AdaptiveSpec, AnnealedSpec, Count};
use serde::Serialize;
use std::fmt;
use std::ops::Range;

/// The observations that a repetition fits to. How many points are measured is no part of it: to
/// measure more of them costs no fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FittedTo {
    name: String,
    split_seed: Option<u32>,
    train_points: Option<u32>,
}

impl FittedTo {
    pub(super) fn of(spec: &CheckedSpec) -> Self {
        let data = &spec.data;
        Self {
            name: data.name.get_ref().clone(),
            split_seed: data.split_seed.as_ref().map(|seed| *seed.get_ref()),
            train_points: data.train_points.as_ref().map(|n| n.get_ref().get()),
        }
    }
}

/// Points `from` to `from + n` of one part of the data, the last not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Chunk {
    /// The part.
    pub split: Split,
    /// The first point, counted from 0.
    pub from: u32,
    /// How many points.
    pub n: u32,
}

impl Chunk {
    /// The first `n` points of a part.
    pub const fn first(split: Split, n: u32) -> Self {
        Self { split, from: 0, n }
    }

    /// The first `n` points of a part, at most `most` at a time.
    pub fn of_at_most(most: u32, split: Split, n: u32) -> impl Iterator<Item = Self> {
        let starts = (0..n).step_by(most as usize);
        starts.map(move |from| Self {
            split,
            from,
            n: most.min(n - from),
        })
    }

    /// Its points.
    pub const fn range(self) -> Range<u32> {
        self.from..self.from + self.n
    }
}

impl fmt::Display for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.range();
        match self.n {
            1 => write!(f, "{} point {start}", self.split),
            _ => write!(f, "{} points {start} to {}", self.split, end - 1),
        }
    }
}

/// An estimator, and all that its estimates depend on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "estimator", rename_all = "kebab-case")]
pub enum Calibrated {
    /// [`Estimator::Elbo`] of `q*`.
    Elbo {
        /// Draws of an estimate.
        n_samples: Count,
    },
    /// [`Estimator::ImportanceWeighted`] of `q*`.
    ImportanceWeighted {
        /// Draws of an estimate.
        n_samples: Count,
    },
    /// [`Estimator::ParetoSmoothed`] of `q*`.
    ParetoSmoothed {
        /// Draws of an estimate.
        n_samples: Count,
    },
    /// [`Estimator::AdaptiveImportanceWeighted`].
    Adaptive(AdaptiveSpec),
    /// [`Estimator::Annealed`].
    Annealed(AnnealedSpec),
    /// [`Estimator::AnnealedReverse`].
    AnnealedReverse(AnnealedSpec),
}

impl Calibrated {
    /// What it estimates.
    pub const fn estimator(&self) -> Estimator {
        match self {
            Self::Elbo { .. } => Estimator::Elbo,
            Self::ImportanceWeighted { .. } => Estimator::ImportanceWeighted,
            Self::ParetoSmoothed { .. } => Estimator::ParetoSmoothed,
            Self::Adaptive(_) => Estimator::AdaptiveImportanceWeighted,
            Self::Annealed(_) => Estimator::Annealed,
            Self::AnnealedReverse(_) => Estimator::AnnealedReverse,
        }
    }
}
