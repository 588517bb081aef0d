//! Whether an estimate's standard error can be relied on, and other diagnostics of the estimate.

use crate::draw_blocks::BlockDeviations;
use crate::named_enum;
use serde::{Deserialize, Serialize};

named_enum! {
    /// Whether a standard error can be relied on, or the reason why not. The numbers behind it are in
    /// [`Diagnostics`].
    Trust {
        /// There is no sign that it is wrong.
        Ok = "ok",
        /// The importance weight is concentrated on so few draws that their spread says little about the error.
        FewEffectiveSamples = "few-effective-samples",
        /// The tail of the weights is so heavy that their mean converges too slowly for its error to be known.
        HeavyTail = "heavy-tail",
        /// So few proposals were accepted that the chains may not have moved along the path.
        LowAcceptance = "low-acceptance",
        /// A log-weight was NaN or plus infinity.
        NonFinite = "non-finite",
    }
}

/// Diagnostics of an estimate, and its cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Diagnostics {
    /// The effective sample size `(Σw)² / Σw²` of the estimate's weights (Kong 1992); `None` if it has none.
    pub effective_samples: Option<f64>,
    /// Importance sampling only: the shape `k̂` of the weights' tail (Vehtari et al. 2024); `None` if no tail
    /// could be fitted.
    pub pareto_k: Option<f64>,
    /// Annealing only: the mean acceptance rate of the chains' transitions; `None` if they made none.
    pub acceptance: Option<f64>,
    /// Annealing only: the step size of the transitions, fixed before the chains begin. Its unit is the
    /// standard deviation of the first distribution of the annealing path. `None` for other estimators.
    pub step_size: Option<f64>,
    /// Annealing only: the number of distributions on the annealing path; `None` for other estimators.
    pub n_temperatures: Option<u32>,
    /// The estimate on blocks of its draws; `None` if it has fewer draws than blocks, or is not from draws of a `q`
    /// that other estimates share.
    #[serde(default)]
    pub blocks: Option<BlockDeviations>,
    /// Wall time of the estimate, seconds: the datapoint's own time, or its share of its batch's. Estimators
    /// that share draws are timed together, and each reports the time of the whole group.
    pub seconds: f64,
    /// Evaluations of `log p(x, z)` or of its gradient.
    pub joint_evaluations: u64,
}
