//! `summary.json`, whose format other programs rely on.
//!
//! Later versions only add keys. Every mean is over the `n` datapoints of its cell, without those that
//! `non_finite` counts. Every `std_error_nats` is the standard error of such a mean over datapoints; for a gap,
//! it is that of paired differences. It already includes the Monte Carlo error within datapoints, which has a
//! key of its own, `mc_std_error_nats`. Different seeds are separate cells and never pooled here.

mod ascent;
mod calibration;
mod evidence;
mod nesting;

pub use ascent::{AscentCell, AscentEnd, CostToReachOptimum};
pub use calibration::EstimatorCalibration;
pub use evidence::{AnnealedAgreement, EvidenceSandwich, MeanEvidenceEstimate};
pub use nesting::{NESTING_TOLERANCE_NATS, NestedFamilyComparison};

use gap_spec::{EncoderLabel, Family, Side, Split};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`crate::SCHEMA_VERSION`].
    pub schema: u32,
    /// The experiment's name.
    pub experiment: String,
    /// One entry for each variant, model, encoder and split.
    pub cells: Vec<Cell>,
    /// One entry for each pair of nested families on one model and split, if the experiment has several
    /// families.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub nesting: Vec<NestedFamilyComparison>,
    /// One entry for each model that points were drawn from, to bound their evidence from both sides.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub sandwich: Vec<EvidenceSandwich>,
    /// One entry for each estimator and datapoint of an experiment that repeats estimates.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub calibration: Vec<EstimatorCalibration>,
    /// One entry for each variant, seed, ascent and start, for an experiment that compares ascents.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ascents: Vec<AscentCell>,
    /// Where the time of the run was spent, in the order of the plan.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub cost: Vec<StageCost>,
}

/// The cost of all stages of one kind, over all seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageCost {
    /// The variant of the experiment; absent without variants.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub variant: Option<String>,
    /// A description of what these stages do.
    pub stage: String,
    /// The number of these stages.
    pub n: u64,
    /// Wall time of all of them, seconds; some may have run at the same time.
    #[serde(deserialize_with = "nan_from_null")]
    pub seconds: f64,
}

/// Reads a number, and `null` as NaN: JSON has no NaN, which is therefore written as `null`.
pub(crate) fn nan_from_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A mean over datapoints, in nats. `null` in JSON stands for a number that is not defined, such as the
/// standard error of a single datapoint, or the mean of none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean.
    #[serde(deserialize_with = "nan_from_null")]
    pub mean_nats: f64,
    /// The standard error of the mean over datapoints.
    #[serde(deserialize_with = "nan_from_null")]
    pub std_error_nats: f64,
    /// The part of that standard error that is Monte Carlo noise. For a gap it is that of the difference, from
    /// blocks of the draws that its two terms share. Where the terms have different numbers of draws, or fewer
    /// than 16, or records are older than the columns `block_…`, it is an upper bound, which ignores that draws
    /// are shared.
    #[serde(deserialize_with = "nan_from_null")]
    pub mc_std_error_nats: f64,
}

/// The estimate of `log p(x)` that the approximation gap is computed from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestMeanLogEvidence {
    /// The mean over datapoints.
    #[serde(flatten)]
    pub mean: Mean,
    /// On which side of `log p(x)` its expectation lies.
    pub side: Side,
    /// The estimator: the exact value if there is one, and otherwise the lower bound with the highest mean over
    /// the cell's datapoints.
    ///
    /// Of two lower bounds, that with the higher expectation is nearer to `log p(x)`, and the mean over a data
    /// set shows which one that is. The larger of two estimates at each datapoint would no longer be a bound:
    /// it picks the luckier draws, and is above `log p(x)` on average where both estimators are close to it.
    pub estimator: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes what it may skip by reference"
)]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The ELBO of the `q` after the most refinement steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefinedMean {
    /// The mean over datapoints.
    #[serde(flatten)]
    pub mean: Mean,
    /// The number of steps.
    pub steps: u32,
}

/// The mean of an importance-weighted bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportanceWeightedMean {
    /// The mean over datapoints.
    #[serde(flatten)]
    pub mean: Mean,
    /// `K`, the number of draws per datapoint.
    pub n_samples: u64,
}

/// The gap that is left after a number of refinement steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefinementPoint {
    /// The number of steps from the encoder's output.
    pub steps: u32,
    /// `L[q*] − L[q_r]`.
    pub gap: Mean,
    /// Wall seconds for all `n` datapoints, the encoder's forward pass included.
    pub seconds: f64,
    /// Joint gradients per datapoint.
    pub joint_gradients: f64,
}

/// The refinement of one `[refinements.NAME]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedRefinement {
    /// The name.
    pub name: String,
    /// `L[q_r]`, where `q_r` is the `q` after its most steps.
    pub elbo: RefinedMean,
    /// The gap `L[q*] − L[q_r]` that is left after each number of steps.
    pub points: Vec<RefinementPoint>,
    /// Datapoints where the gap after some number of steps is below zero by more than is explained: see
    /// [`Cell::unexplained_negative_gaps`].
    #[serde(default)]
    pub unexplained_negative_gaps: u64,
    /// Datapoints at which a value of the cell or of this refinement is not finite: they are not in its means.
    #[serde(default)]
    pub non_finite: u64,
}

/// What the free-form search of one `[protocols.NAME]` found, measured on the points and draws of `q*`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProtocolResult {
    /// The name.
    pub name: String,
    /// `L[q_p]`, where `q_p` is what it found.
    pub elbo: Mean,
    /// `L[q*] − L[q_p]`, paired: what the protocol leaves, by which every gap to its `q_p` is too small.
    pub optimisation_gap: Mean,
    /// Datapoints whose optimisation gap is below zero by more than the bound on the distance of `q*` to its
    /// optimum and three Monte Carlo standard errors explain: the protocol found a better optimum than the
    /// search of `q*`.
    pub unexplained_negative_gaps: u64,
    /// Datapoints whose search ended, with finite values, before it converged by the protocol's own tolerance.
    pub unconverged: u64,
    /// Datapoints at which a value of the cell or of this protocol is not finite: they are not in its means.
    #[serde(default)]
    pub non_finite: u64,
    /// The mean over datapoints of the upper bound on the distance of `q_p` to its optimum, in nats. Absent if
    /// it was not estimated at all points.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mean_remaining_bound_nats: Option<f64>,
    /// What it cost.
    pub cost: Cost,
}

/// What a method cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Wall seconds for all `n` datapoints.
    pub seconds: f64,
    /// Joint gradients per datapoint.
    pub joint_gradients: f64,
}

/// The costs of the three methods, and of fitting the encoder once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CostsByMethod {
    /// One forward pass for each datapoint.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amortized: Option<Cost>,
    /// The forward pass and the largest number of refinement steps.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refined: Option<Cost>,
    /// The ascents from all starts together.
    pub free_form: Cost,
    /// Fitting the encoder; its joint gradients are a total, not per datapoint.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub encoder_fit: Option<Cost>,
}

/// How the estimates compare with closed forms, where the model has them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClosedFormComparison {
    /// The exact `log p(x)`.
    pub log_evidence: Mean,
    /// The best lower bound minus the exact `log p(x)`, paired.
    pub log_evidence_error: Mean,
    /// The exact optimum of the family minus the exact ELBO of the free-form `q`, paired.
    pub free_form_shortfall: Mean,
    /// The estimated ELBO of the free-form `q` minus its exact ELBO, paired.
    pub elbo_error: Mean,
    /// The exact amortization gap, paired.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amortization_gap: Option<Mean>,
}

/// Two ascents on one datapoint count as ending at different optima if their final ELBOs differ by more than
/// this, nats.
///
/// The ELBO of a decoder has several local optima for some points. The value is that of the default of
/// `free_form.tolerance_nats`, since a converged ascent is within that distance of an optimum.
pub const MIN_DIFFERENT_OPTIMA_NATS: f64 = 0.01;

/// A datapoint whose ascents from different starts ended at different optima.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DifferentOptima {
    /// The datapoint's number in its data set.
    pub datapoint: u64,
    /// How far the worst end was below the best one, nats.
    pub nats: f64,
}

/// The optima that the starts of a cell's searches led to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptimaCounts {
    /// The number of starts of each datapoint.
    pub starts: u64,
    /// The number of optima found, mean over datapoints.
    pub mean_optima: f64,
    /// The share of datapoints with more than one.
    pub several: f64,
    /// The share of starts that were the only ones of their datapoint to lead to their optimum: about the share
    /// of further starts that would find new optima.
    pub found_once: f64,
    /// The number of starts that find all of these optima, each with a probability of 95%, on 95% of
    /// datapoints.
    pub starts_needed: u64,
    /// The largest distance between the means of two optima of a datapoint, in standard deviations of their
    /// `q`s.
    pub max_apart_stds: f64,
    /// The largest distance between the ELBOs of two optima of a datapoint, nats.
    pub max_apart_nats: f64,
}

/// The results of one variant, model, encoder and split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// A name of the cell, unique within the file and stable across runs.
    pub cell: String,
    /// The variant of the experiment; absent without variants.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub variant: Option<String>,
    /// The data set.
    pub dataset: String,
    /// The part of the data set.
    pub split: Split,
    /// The seed.
    pub seed: u64,
    /// The frozen model, which cells that differ in encoder, split or variant may share.
    #[serde(default)]
    pub model: String,
    /// The number of datapoints of the cell.
    pub n: u64,
    /// The variational family.
    pub family: Family,
    /// The encoder; absent if the experiment has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub encoder: Option<EncoderLabel>,
    /// The number of variational parameters of free-form inference, which grows with `n`.
    pub free_form_params: u64,
    /// The number of parameters of amortized inference: the encoder's weights.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amortized_params: Option<u64>,
    /// The encoder's inputs that are the same at all training points, of those that it standardizes: it sees
    /// their differences from there at other points as they are. Absent if there are none.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub constant_inputs: u64,
    /// `log p̂(x)`, the best estimate of `log p(x)`.
    pub log_evidence: BestMeanLogEvidence,
    /// All estimates of `log p(x)` on the same datapoints. The ELBOs are among them, as lower bounds.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub evidence: Vec<MeanEvidenceEstimate>,
    /// How often annealed importance sampling and `IW_K[q*]` agree, where both were measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub annealed_agreement: Option<AnnealedAgreement>,
    /// `L[q*]`.
    pub elbo_free_form: Mean,
    /// `L[q]`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub elbo_amortized: Option<Mean>,
    /// `L[q_r]`, where `q_r` is the `q` after the most refinement steps: of `[refinement]`, or without it of
    /// the first of `refinements`. The same one is in `refined_gap` and in `cost`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub elbo_refined: Option<RefinedMean>,
    /// `IW_K[q*]`.
    pub iw_free_form: ImportanceWeightedMean,
    /// `IW_K[q]`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub iw_amortized: Option<ImportanceWeightedMean>,
    /// `log p̂(x) − L[q*]`.
    pub approximation_gap: Mean,
    /// `L[q*] − L[q]`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amortization_gap: Option<Mean>,
    /// The amortization gap over the datapoints whose free-form search converged; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amortization_gap_converged: Option<Mean>,
    /// The amortization gap over the datapoints whose free-form search converged and ended at the same optimum
    /// from all starts; absent if there are none, or if the search had one start.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amortization_gap_same_optimum: Option<Mean>,
    /// `L[q*] − L[q_r]` after the most refinement steps.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refined_gap: Option<Mean>,
    /// The gap `L[q*] − L[q_r]` that is left after each number of steps of `[refinement]`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub refinement: Vec<RefinementPoint>,
    /// `log p̂(x) − L[q]`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub inference_gap: Option<Mean>,
    /// `IW_K[q*] − IW_K[q]`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub iw_gap: Option<Mean>,
    /// The amortization gap of this cell minus that of the training cell of the same encoder; only in test
    /// cells. The two gaps are means over different datapoints, so their standard errors are added in
    /// quadrature.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub generalisation_gap: Option<Mean>,
    /// Datapoints whose amortization gap is below zero.
    pub negative_gaps: u64,
    /// Datapoints of which an amortization gap, or a gap after refinement, is below zero by more than the bound
    /// on the distance of `q*` to its optimum and three Monte Carlo standard errors explain.
    #[serde(default)]
    pub unexplained_negative_gaps: u64,
    /// Datapoints whose free-form search ended, with finite values, before it converged.
    pub unconverged: u64,
    /// Datapoints whose starts ended more than [`MIN_DIFFERENT_OPTIMA_NATS`] apart; 0 with one start.
    #[serde(default)]
    pub different_optima: u64,
    /// These datapoints, in the order of their numbers.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub different_optima_points: Vec<DifferentOptima>,
    /// How many optima the starts led to; absent with one start.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub optima: Option<OptimaCounts>,
    /// Datapoints with a non-finite estimate or ascent; they count in `n`, but are in no mean.
    pub non_finite: u64,
    /// Estimates whose standard error is marked as unreliable.
    pub untrusted: u64,
    /// The same estimates, counted by the reason: a name of [`gap_spec::Trust`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub untrusted_by_reason: BTreeMap<String, u64>,
    /// Datapoints with an estimate whose importance weights have too heavy a tail for the number of draws: the
    /// shape `k̂` is above the threshold of Vehtari et al. (2024).
    #[serde(default)]
    pub heavy_tails: u64,
    /// The largest estimated distance of a datapoint's free-form ELBO to its optimum, in nats.
    pub max_remaining_nats: Option<f64>,
    /// The mean over datapoints of the upper bound on that distance, in nats: a mean gap may be as far below
    /// zero, since `q*` is not quite the optimum. Absent if it was not estimated at all points.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mean_remaining_bound_nats: Option<f64>,
    /// The largest upper bound on that distance, over datapoints, in nats.
    #[serde(default)]
    pub max_remaining_bound_nats: Option<f64>,
    /// What each method cost.
    pub cost: CostsByMethod,
    /// What each `[refinements.NAME]` leaves of the gap, in the order of names.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub refinements: Vec<NamedRefinement>,
    /// What each `[protocols.NAME]` found, in the order of names.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub protocols: Vec<ProtocolResult>,
    /// The comparison with closed forms, if the model has them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oracle: Option<ClosedFormComparison>,
}

impl Cell {
    /// What is left of the gap by numbers of steps, of `[refinement]` or of the `[refinements.NAME]` with this
    /// name.
    pub fn refinement_of(&self, name: Option<&str>) -> &[RefinementPoint] {
        let Some(name) = name else {
            return &self.refinement;
        };
        let named = self.refinements.iter().find(|named| named.name == name);
        named.map_or(&[], |named| &named.points)
    }

    /// What the `[protocols.NAME]` with this name found, if the cell has it.
    pub fn protocol(&self, name: &str) -> Option<&ProtocolResult> {
        self.protocols.iter().find(|result| result.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::{AscentEnd, Mean, Summary};

    #[test]
    fn an_undefined_number_is_null_in_json_and_nan_when_read_back() {
        let mean = Mean {
            mean_nats: -18.5,
            std_error_nats: f64::NAN,
            mc_std_error_nats: 0.25,
        };
        let json = serde_json::to_string(&mean).unwrap();
        assert_eq!(
            json,
            r#"{"mean_nats":-18.5,"std_error_nats":null,"mc_std_error_nats":0.25}"#
        );
        let read: Mean = serde_json::from_str(&json).unwrap();
        assert!(read.std_error_nats.is_nan() && read.mc_std_error_nats == 0.25);
        assert!(serde_json::from_str::<Mean>(r#"{"mean_nats":1.0}"#).is_err());
    }

    #[test]
    fn where_no_datapoint_stayed_finite_an_ascent_ends_at_null() {
        let end = AscentEnd {
            seconds: 1.5,
            joint_gradients: 40.0,
            nats_to_go: f64::NAN,
            std_error_nats: f64::NAN,
            worst_nats: f64::NAN,
            above_tolerance: 0,
            unfinished: 0,
            other_optimum: 0,
            other_optimum_nats: f64::NAN,
            non_finite: 3,
        };
        let json = serde_json::to_string(&end).unwrap();
        let read: AscentEnd = serde_json::from_str(&json).unwrap();
        assert!(read.nats_to_go.is_nan() && read.std_error_nats.is_nan());
        assert!(read.worst_nats.is_nan() && read.other_optimum_nats.is_nan());
        assert_eq!(read.non_finite, 3);
    }

    #[test]
    fn a_summary_that_is_older_than_ascents_is_read_and_written_as_it_was() {
        let json = r#"{"schema":1,"experiment":"digits","cells":[]}"#;
        let read: Summary = serde_json::from_str(json).unwrap();
        assert!(read.ascents.is_empty());
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
    }
}
