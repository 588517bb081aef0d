//! `[free_form]`: how `q*` is found, and how results say that a search ended.

use crate::named_enum;
use crate::number::{Count, Positive};
use crate::precision::Precision;
use serde::{Deserialize, Serialize};

named_enum! {
    /// Where a free-form ascent starts.
    Start {
        /// The prior: `μ = 0`, `σ = 1`.
        Prior = "prior",
        /// The output of the encoder that was fitted jointly with the decoder.
        Encoder = "encoder",
    }
}

named_enum! {
    /// How a free-form ascent is carried out.
    Protocol {
        /// Newton steps, from many dimensions after L-BFGS, until the certificate is content.
        Default = "default",
        /// That of Cremer et al. 2018, as their code has it: Adam at 1e-3 in `(μ, log σ²)` on 50
        /// independent draws, until more than 10 blocks of 100 steps bring no improvement.
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
        /// The search ended before that: its steps were spent, or its own rule stopped it.
        BudgetSpent = "budget-spent",
        /// A value stopped being finite; the parameters are the last finite ones.
        NonFinite = "non-finite",
    }
}

/// `[free_form]`: an ascent of its own for each datapoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FreeFormSpec {
    /// Where to start; with several, the better end is kept for each datapoint. Default: see
    /// [`crate::ExperimentSpec::free_form_starts`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<Vec<Start>>,
    /// How the ascent is carried out.
    pub protocol: Protocol,
    /// A datapoint has converged when the bound on its distance to the optimum is below this, nats.
    pub tolerance_nats: Positive,
    /// Steps after which a datapoint is given up: evaluations, of all starts together, after which no new
    /// round begins; a larger family has as many again for itself. The Adam of `adam-cremer-2018` needs
    /// some ten thousand before its own rule stops it; 100000 leaves it room.
    pub max_steps: Count,
    /// How exact the products of gradients are, here and in `[ascents]`.
    pub precision: Precision,
}

impl Default for FreeFormSpec {
    fn default() -> Self {
        Self {
            starts: None,
            protocol: Protocol::Default,
            tolerance_nats: Positive::new(0.01),
            max_steps: Count::new(5000),
            precision: Precision::Mixed,
        }
    }
}

impl FreeFormSpec {
    /// Where to start; of a checked spec, in which they are written down.
    pub fn starts(&self) -> &[Start] {
        self.starts.as_deref().unwrap_or(&[Start::Prior])
    }
}
