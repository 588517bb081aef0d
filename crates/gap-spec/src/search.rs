//! `[free_form]`: how `q*` is found, and how results name the reason why a search ended.

use crate::named_enum;
use crate::number::{Count, Positive};
use crate::precision::{Precision, default_precision};
use serde::{Deserialize, Serialize};

named_enum! {
    /// Where a free-form ascent starts from.
    Start {
        /// The standard normal: `μ = 0`, `σ = 1`.
        Prior = "prior",
        /// The output of the encoder that was fitted jointly with the decoder.
        Encoder = "encoder",
    }
}

named_enum! {
    /// How `q*` is searched for.
    Protocol {
        /// Newton steps until a bound on the distance to the optimum is below the tolerance; with more than 12
        /// latent dimensions L-BFGS steps come first. Flows and mixtures take Adam steps, from the best full
        /// Gaussian.
        Default = "default",
        /// The local optimisation of Cremer et al. 2018, as in their code: Adam at 1e-3 in `(μ, log σ²)` with
        /// 50 independent draws, until the mean loss over 100 steps has not improved for more than 10 such
        /// blocks.
        AdamCremer2018 = "adam-cremer-2018",
    }
}

named_enum! {
    /// Why the search for a `q` ended.
    StopKind {
        /// There was no search: one forward pass, or a fixed number of steps.
        Direct = "direct",
        /// The bound on the distance to the optimum fell below the tolerance.
        Converged = "converged",
        /// The search ended before the bound was that low: its steps were spent, or it met a stopping rule of
        /// its own.
        BudgetSpent = "budget-spent",
        /// A value stopped being finite; the parameters are the last finite ones.
        NonFinite = "non-finite",
    }
}

/// `[free_form]`: an ascent of its own for each datapoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FreeFormSpec {
    /// Where to start; of several starts, the one whose ascent ends best is kept for each datapoint. Default:
    /// see [`crate::ExperimentSpec::free_form_starts`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<Vec<Start>>,
    /// How many further starts there are: means drawn from the standard normal, the same for all datapoints,
    /// with a small standard deviation. They find optima that the other starts miss; how many would be needed
    /// is in the summary.
    #[serde(skip_serializing_if = "is_zero")]
    pub random_starts: u32,
    /// How `q*` is searched for.
    pub protocol: Protocol,
    /// A datapoint has converged when the bound on its distance to the optimum is below this, nats.
    pub tolerance_nats: Positive,
    /// The most evaluations of a datapoint: over all phases and rounds, over all starts, which share them
    /// equally, and over the searches in smaller families that a search in a larger one begins with.
    /// Certificates, and comparisons on draws that no step uses, are not among them; their joint gradients are
    /// counted in the costs.
    ///
    /// `adam-cremer-2018` needs some ten thousand evaluations from a start until its own rule stops it, so
    /// 100000 leaves it room.
    pub max_steps: Count,
    /// The precision of the matrix products in gradients, in the phases of the `default` protocol and in
    /// `[ascents]`. Later rounds, and families other than the diagonal Gaussian, always use full precision.
    /// Default: `mixed`, or `full` in an experiment of 64 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Default for FreeFormSpec {
    fn default() -> Self {
        Self {
            starts: None,
            random_starts: 0,
            protocol: Protocol::Default,
            tolerance_nats: Positive::new(0.01),
            max_steps: Count::new(5000),
            precision: None,
        }
    }
}

impl FreeFormSpec {
    /// The precision of the products in gradients.
    pub fn precision(&self) -> Precision {
        self.precision.unwrap_or_else(default_precision)
    }

    /// Where the searches start, for a model that an encoder may come with. Default: from the prior and from that
    /// encoder; from the prior alone if there is none, or under `adam-cremer-2018`.
    pub fn starts_with(&self, has_encoder: bool) -> &[Start] {
        match &self.starts {
            Some(starts) => starts,
            None if has_encoder && self.protocol == Protocol::Default => {
                &[Start::Prior, Start::Encoder]
            }
            None => &[Start::Prior],
        }
    }

    /// The starts of a checked spec, which has the default filled in.
    pub fn starts(&self) -> &[Start] {
        self.starts.as_deref().unwrap_or(&[Start::Prior])
    }
}
