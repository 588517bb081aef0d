//! What a summary says of estimates of `log p(x)`: side by side, and bounds from both sides.

use super::Mean;
use gap_spec::{Estimator, Method, Side};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One estimator of `log p(x)` on the datapoints of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanEvidenceEstimate {
    /// The estimator.
    pub estimator: Estimator,
    /// The method whose `q` the draws came from; `model` for an adaptive or annealed estimate, and for the
    /// exact value.
    pub method: Method,
    /// On which side of `log p(x)` its expectation lies.
    pub side: Side,
    /// The mean over datapoints.
    #[serde(flatten)]
    pub mean: Mean,
    /// The estimate minus `log p̂(x)` of the cell, paired; 0 for the estimator that gave `log p̂(x)`.
    pub minus_log_evidence: Mean,
    /// Draws per datapoint, or chains of an annealed estimate; the mean over datapoints.
    pub n_samples: f64,
    /// The number of distributions on the path of an annealed estimate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub n_temperatures: Option<u32>,
    /// The mean acceptance rate of the transitions of an annealed estimate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub acceptance: Option<f64>,
    /// For an annealed estimate, [`EvidenceSandwich::width`] of the same model, if it was measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sandwich_width: Option<Mean>,
    /// For `IW_K[q*]`, both with a fixed `K` and with `K` doubled until the standard error reaches a target:
    /// how often annealed importance sampling agrees with it, if both were measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub annealed_agreement: Option<AnnealedAgreement>,
    /// Datapoints whose standard error is marked as unreliable.
    pub untrusted: u64,
    /// The same datapoints, counted by the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub untrusted_by_reason: BTreeMap<String, u64>,
    /// Wall seconds for all datapoints; 0 if not measured. Estimators that share draws are timed together, and
    /// each reports the time of the whole group.
    pub seconds: f64,
    /// Evaluations of `log p(x, z)` or of its gradient per datapoint, the mean over datapoints.
    pub joint_evaluations: f64,
}

/// How often annealed importance sampling and an importance-weighted bound agree.
///
/// On a datapoint they agree if zero is in the 95% interval for their difference, which follows from the
/// standard error and the number of draws or chains of each (Welch 1947). Their draws are independent, so
/// unbiased estimates with correct standard errors would agree on 95% of datapoints. Both are lower bounds:
/// where they disagree, the lower one has missed a part of the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnealedAgreement {
    /// Datapoints with finite estimates whose importance weights are trusted. The annealed estimate need not
    /// be: leaving out those that are marked as unreliable would leave out the disagreements.
    pub n: u64,
    /// How many of these `n` the two agree on.
    pub agree: u64,
    /// On how many of these `n` the 95% intervals of the two overlap, which is a weaker condition.
    #[serde(default)]
    pub overlap: u64,
}

/// Bounds from both sides on the evidence of points that were drawn from the model.
///
/// A point that is drawn from the model comes with an exact draw of its posterior, from which annealed
/// importance sampling runs backwards and bounds `log p(x)` from above (Grosse et al. 2015). Up to Monte Carlo
/// error, the width bounds the error of the annealed lower bound on these points. On other data it only
/// indicates the error of a lower bound with the same settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceSandwich {
    /// The variant of the experiment; absent without variants.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub variant: Option<String>,
    /// The data set that the model was fitted to.
    pub dataset: String,
    /// The seed.
    pub seed: u64,
    /// The frozen model; one seed has several if decoders are fitted jointly with encoders.
    pub model: String,
    /// The number of points drawn from the model.
    pub n: u64,
    /// The lower bound, from annealed importance sampling.
    pub lower: Mean,
    /// The upper bound, from annealed importance sampling backwards from a draw of the posterior.
    pub upper: Mean,
    /// `upper − lower`, paired.
    pub width: Mean,
    /// `L[q*]` on the same points.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub elbo_free_form: Option<Mean>,
    /// `IW_K[q*]` on the same points.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub iw_free_form: Option<Mean>,
    /// The Pareto-smoothed estimate from the draws of `IW_K[q*]`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pareto_smoothed_free_form: Option<Mean>,
    /// The number of chains per point and direction.
    pub n_chains: u64,
    /// The number of distributions on the path.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub n_temperatures: Option<u32>,
    /// The exact `log p(x)`, if the model has a closed form.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exact: Option<Mean>,
    /// Finite points with `lower − 2 se ≤ exact ≤ upper + 2 se`, where `se` is the standard error that each
    /// bound reports.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub contains_exact: Option<u64>,
    /// Points whose estimated upper bound is below the lower one; they stay in `width`.
    pub negative_widths: u64,
    /// Points with an estimate that is not finite; they count in `n`, but are in no mean.
    pub non_finite: u64,
    /// Estimates of the two bounds whose standard error is marked as unreliable.
    pub untrusted: u64,
    /// The same estimates, counted by the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub untrusted_by_reason: BTreeMap<String, u64>,
    /// The mean acceptance rate over both directions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub acceptance: Option<f64>,
    /// Wall seconds of both directions for all `n` points.
    pub seconds: f64,
}
