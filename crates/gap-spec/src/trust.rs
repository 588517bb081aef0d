//! Whether an estimate's standard error can be relied on, and what else is known of it.

use crate::named_enum;
use serde::{Deserialize, Serialize};

named_enum! {
    /// Whether a standard error can be relied on. The number that speaks against it is in [`Diagnostics`].
    Trust {
        /// Nothing speaks against it.
        Ok = "ok",
        /// So few draws carry the weight that their spread says little of the error.
        FewEffectiveSamples = "few-effective-samples",
        /// The weights' tail is so heavy that their mean converges too slowly for its error to be known.
        HeavyTail = "heavy-tail",
        /// So few proposals were accepted that the chains may not have moved along the path.
        LowAcceptance = "low-acceptance",
        /// A log-weight was NaN or plus infinity.
        NonFinite = "non-finite",
    }
}

/// What an estimator says of its estimate, and what that cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Diagnostics {
    /// `(Σw)² / Σw²` of its weights (Kong 1992).
    pub effective_samples: Option<f64>,
    /// The shape `k̂` of the weights' tail (Vehtari et al. 2024).
    pub pareto_k: Option<f64>,
    /// The mean acceptance of its transitions.
    pub acceptance: Option<f64>,
    /// The step size of its transitions, fixed before the chain began, in units of the start's standard
    /// deviations.
    pub step_size: Option<f64>,
    /// Distributions from the start of its path to the end.
    pub n_temperatures: Option<u32>,
    /// Wall time of the estimate, this datapoint's share, seconds; where several estimators take the
    /// same draws, that of all of them.
    pub seconds: f64,
    /// Evaluations of the joint or of its gradient.
    pub joint_evaluations: u64,
}
