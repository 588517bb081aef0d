//! `[estimators.adaptive]`: as many draws as the standard error asks for.

use crate::number::{Count, Positive};
use serde::{Deserialize, Serialize};

/// `[estimators.adaptive]`: `K` is doubled until the standard error is small enough.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveSpec {
    /// The standard error to reach for each datapoint, nats.
    pub target_std_error_nats: Positive,
    /// Draws per datapoint to begin with. Default: 1000.
    #[serde(default = "default_first_samples")]
    pub first_samples: Count,
    /// Draws per datapoint that are not exceeded.
    pub most_samples: Count,
    /// The share of draws that come from the prior instead of `q*`: with any, no weight exceeds
    /// `p(x | z)` by more than that factor. Default: 0.
    #[serde(default = "default_prior_share")]
    pub prior_share: f64,
}

const fn default_first_samples() -> Count {
    Count::new(1000)
}

const fn default_prior_share() -> f64 {
    0.0
}
