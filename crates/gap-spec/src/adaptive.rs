//! `[estimators.adaptive]`: an importance-weighted bound with as many draws as a target for its standard error
//! requires.

use crate::number::{Count, Positive};
use serde::{Deserialize, Serialize};

/// `[estimators.adaptive]`: `K` is doubled until the standard error reaches its target, or `K` reaches its
/// limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveSpec {
    /// The standard error to reach for each datapoint, nats.
    pub target_std_error_nats: Positive,
    /// The first `K`, draws per datapoint. Default: 1000.
    #[serde(default = "default_first_samples")]
    pub first_samples: Count,
    /// The largest `K`, draws per datapoint.
    pub most_samples: Count,
    /// The share of draws that come from the prior instead of `q*`. With a share `s > 0` no importance weight
    /// exceeds `p(x | z) / s`. Default: 0.
    #[serde(default = "default_prior_share")]
    pub prior_share: f64,
}

const fn default_first_samples() -> Count {
    Count::new(1000)
}

const fn default_prior_share() -> f64 {
    0.0
}
