//! What a summary says of estimates of `log p(x)`: side by side, and from both sides.

use super::Mean;
use gap_spec::{Estimator, Method, Side};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One estimator of `log p(x)` on the datapoints of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanEvidenceEstimate {
    /// The estimator.
    pub estimator: Estimator,
    /// Whose `q` it drew from, or `model` where it needs none.
    pub method: Method,
    /// On which side of `log p(x)` its expectation lies.
    pub side: Side,
    /// The mean over datapoints.
    #[serde(flatten)]
    pub mean: Mean,
    /// The estimate minus `log p̂(x)` of the cell, paired; 0 for the estimator that won.
    pub minus_log_evidence: Mean,
    /// Draws per datapoint (chains, for an annealed one), the mean over datapoints.
    pub n_samples: f64,
    /// Distributions on its path, for an annealed one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub n_temperatures: Option<u32>,
    /// The mean acceptance of its transitions, for an annealed one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub acceptance: Option<f64>,
    /// For an annealed one, [`EvidenceSandwich::width`] of the same model, where it was measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sandwich_width: Option<Mean>,
    /// For an importance-weighted one of `q*`, or of as many draws as its error asks for: how often
    /// annealed importance sampling agrees with it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub annealed_agreement: Option<AnnealedAgreement>,
    /// Datapoints whose standard error is marked as unreliable.
    pub untrusted: u64,
    /// The same by the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub untrusted_by_reason: BTreeMap<String, u64>,
    /// Wall seconds for all datapoints; estimators that take the same draws each have the time of
    /// all of them. 0 where it was not measured.
    pub seconds: f64,
    /// Evaluations of the joint or of its gradient per datapoint, the mean.
    pub joint_evaluations: f64,
}

/// How often annealed importance sampling and an importance-weighted bound agree.
///
/// On a datapoint they agree if their difference is within its own 95% interval, from the standard error
/// that each reports and the number of draws or chains that each has (Welch 1947); their draws are
/// independent, so unbiased estimates with true errors would do so on 95% of points. Both are lower
/// bounds: where they disagree, the lower one has missed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnealedAgreement {
    /// Finite datapoints whose importance weights are trusted. The annealed estimate may be marked as
    /// unreliable: leaving such points out would leave out the disagreements.
    pub n: u64,
    /// Those of them on which the two agree.
    pub agree: u64,
    /// Those of them on which the 95% intervals around either overlap, which is a weaker thing to ask.
    #[serde(default)]
    pub overlap: u64,
}

/// The evidence of points that a model drew itself, from both sides.
///
/// For such a point an exact draw of its posterior is known, from which annealed importance sampling
/// runs backwards and bounds `log p(x)` from above (Grosse et al. 2015). The width bounds the error of
/// the annealed lower bound on these points, both sides' Monte Carlo error apart; on data that the
/// model did not draw it is what one may expect of a lower bound with the same settings, no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceSandwich {
    /// The variant of the experiment, where it has several.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub variant: Option<String>,
    /// The data set that the model was fitted to.
    pub dataset: String,
    /// The seed.
    pub seed: u64,
    /// The frozen model; jointly fitted decoders are several for one seed.
    pub model: String,
    /// How many points were drawn from it.
    pub n: u64,
    /// Annealed importance sampling forwards.
    pub lower: Mean,
    /// The same backwards from a draw of the posterior.
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
    /// Chains per point and direction.
    pub n_chains: u64,
    /// Distributions on their path.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub n_temperatures: Option<u32>,
    /// The exact `log p(x)`, where the model has it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exact: Option<Mean>,
    /// Finite points with `lower − 2 se ≤ exact ≤ upper + 2 se`, each side with the standard error that
    /// it reports.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub contains_exact: Option<u64>,
    /// Points where the upper bound came out below the lower one; they stay in `width`.
    pub negative_widths: u64,
    /// Points with an estimate that is not finite; they stay in `n` and in no mean.
    pub non_finite: u64,
    /// Estimates of the two bounds whose standard error is marked as unreliable.
    pub untrusted: u64,
    /// The same by the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub untrusted_by_reason: BTreeMap<String, u64>,
    /// The mean acceptance over both directions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub acceptance: Option<f64>,
    /// Wall seconds of both directions for all `n` points.
    pub seconds: f64,
}
