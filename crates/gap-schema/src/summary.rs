//! `summary.json`: the stable contract for other programs.
//!
//! Keys are only ever added. Every mean is over the `n` datapoints of its cell; every
//! `std_error_nats` is the standard error of that mean over datapoints (of the paired differences,
//! for a gap). Monte Carlo error within datapoints has a key of its own, `mc_std_error_nats`, and is
//! already contained in the former. Seeds are separate cells and never pooled here.

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
    /// One entry for each variant, seed, encoder and split.
    pub cells: Vec<Cell>,
    /// One entry for each pair of nested families on one model and split, for an experiment with several.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub nesting: Vec<NestedFamilyComparison>,
    /// One entry for each model that points were drawn from, to be bounded from both sides.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub sandwich: Vec<EvidenceSandwich>,
    /// One entry for each estimator and datapoint of an experiment that repeats estimates.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub calibration: Vec<EstimatorCalibration>,
    /// One entry for each variant, seed, ascent and start, for an experiment that compares ascents.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ascents: Vec<AscentCell>,
    /// Where the time of the run went, in the order of the plan.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub cost: Vec<StageCost>,
}

/// The stages of all seeds that do the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageCost {
    /// The variant of the experiment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub variant: Option<String>,
    /// What stages of this kind do.
    pub stage: String,
    /// How many they are.
    pub n: u64,
    /// Wall time of all of them, seconds; stages may have run beside one another.
    #[serde(deserialize_with = "nan_from_null")]
    pub seconds: f64,
}

/// JSON has no NaN: it is written as `null`, and read back.
pub(crate) fn nan_from_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A mean over datapoints, in nats. `null` in JSON stands for a number that is not defined: the
/// standard error of a single datapoint, the mean of none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean.
    #[serde(deserialize_with = "nan_from_null")]
    pub mean_nats: f64,
    /// Its standard error over datapoints.
    #[serde(deserialize_with = "nan_from_null")]
    pub std_error_nats: f64,
    /// The part of it that is Monte Carlo noise; for a gap an upper bound, since the common draws of
    /// its two terms are not credited.
    #[serde(deserialize_with = "nan_from_null")]
    pub mc_std_error_nats: f64,
}

/// The estimate of `log p(x)` that the approximation gap is taken from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestMeanLogEvidence {
    /// The mean over datapoints.
    #[serde(flatten)]
    pub mean: Mean,
    /// On which side of the truth its expectation lies.
    pub side: Side,
    /// Which estimator won: the exact value where there is one, and otherwise the lower bound whose
    /// mean over the cell's datapoints is the highest.
    ///
    /// A lower bound with the higher expectation is the nearer one, and a mean over a data set tells
    /// which that is. The higher of two estimates at each datapoint would be a bound no more: it takes
    /// whichever had the luckier draws, and lies above `log p(x)` where both are near it.
    pub estimator: String,
}

/// The ELBO after the most refinement steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefinedMean {
    /// The mean over datapoints.
    #[serde(flatten)]
    pub mean: Mean,
    /// How many steps that is.
    pub steps: u32,
}

/// An importance-weighted bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportanceWeightedMean {
    /// The mean over datapoints.
    #[serde(flatten)]
    pub mean: Mean,
    /// `K`.
    pub n_samples: u64,
}

/// What remains of the gap after a number of refinement steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefinementPoint {
    /// Steps from the encoder's output.
    pub steps: u32,
    /// `L[q*] − L[q_r]`.
    pub gap: Mean,
    /// Wall seconds for all `n` datapoints, the encoder's forward pass included.
    pub seconds: f64,
    /// Joint gradients per datapoint.
    pub joint_gradients: f64,
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
    /// The forward pass and the most refinement steps.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refined: Option<Cost>,
    /// The ascent, all starts together.
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
    /// The best sampled lower bound minus the exact `log p(x)`, paired.
    pub log_evidence_error: Mean,
    /// The exact optimum of the family minus the exact ELBO of the free-form `q`, paired.
    pub free_form_shortfall: Mean,
    /// The estimated ELBO of the free-form `q` minus its exact ELBO, paired.
    pub elbo_error: Mean,
    /// The exact amortization gap, paired.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amortization_gap: Option<Mean>,
}

/// Two ends of one datapoint's ascent that differ by more than this, nats, are different optima.
///
/// Two ends near one optimum lie within the default `free_form.tolerance_nats` of it, which is the
/// same number; the ELBO of a decoder has several local optima for some points.
pub const MIN_DIFFERENT_OPTIMA_NATS: f64 = 0.01;

/// A datapoint whose ascent found different optima from different starts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DifferentOptima {
    /// The datapoint's number in its data set.
    pub datapoint: u64,
    /// How far apart the best end and the worst one were.
    pub nats: f64,
}

/// One seed, encoder and split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// A name, unique within the file and stable across runs.
    pub cell: String,
    /// The variant of the experiment, where it has several.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub variant: Option<String>,
    /// The data set.
    pub dataset: String,
    /// The part of it.
    pub split: Split,
    /// The seed.
    pub seed: u64,
    /// The frozen model; cells with the same one differ in encoder and split alone.
    #[serde(default)]
    pub model: String,
    /// How many datapoints every term was measured on.
    pub n: u64,
    /// The variational family.
    pub family: Family,
    /// The encoder; absent in a cell without one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub encoder: Option<EncoderLabel>,
    /// Variational parameters of free-form inference: they grow with `n`.
    pub free_form_params: u64,
    /// Parameters of amortized inference: the encoder's weights.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amortized_params: Option<u64>,
    /// `log p̂(x)`.
    pub log_evidence: BestMeanLogEvidence,
    /// All estimates of `log p(x)` side by side, on the same datapoints: the ELBOs, which are bounds
    /// on it too, and whatever is nearer.
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
    /// `L[q_r]` after the most steps.
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
    /// The same over the datapoints whose free-form ascent converged; absent where none did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amortization_gap_converged: Option<Mean>,
    /// The same over the datapoints that converged and whose starts ended at one optimum; absent where
    /// there are none, or where the ascent had one start.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amortization_gap_same_optimum: Option<Mean>,
    /// `L[q*] − L[q_r]` after the most steps.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refined_gap: Option<Mean>,
    /// What remains after each number of steps.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub refinement: Vec<RefinementPoint>,
    /// `log p̂(x) − L[q]`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub inference_gap: Option<Mean>,
    /// `IW_K[q*] − IW_K[q]`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub iw_gap: Option<Mean>,
    /// Amortization gap of this cell minus that of its training cell; in test cells only. Its two
    /// terms are means over different datapoints, so its standard error is theirs in quadrature.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub generalisation_gap: Option<Mean>,
    /// Datapoints whose amortization gap is below zero.
    pub negative_gaps: u64,
    /// Datapoints whose free-form ascent ended before it had converged.
    pub unconverged: u64,
    /// Datapoints whose starts ended more than [`MIN_DIFFERENT_OPTIMA_NATS`] apart; 0 with one start.
    #[serde(default)]
    pub different_optima: u64,
    /// Which ones, in the order of their numbers.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub different_optima_points: Vec<DifferentOptima>,
    /// Datapoints with a non-finite estimate or ascent; they stay in `n` and in no mean.
    pub non_finite: u64,
    /// Estimates whose standard error is marked as unreliable.
    pub untrusted: u64,
    /// The same by the reason, as `trust` of the records names it before its parenthesis.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub untrusted_by_reason: BTreeMap<String, u64>,
    /// Datapoints with an estimate whose weights have a heavier tail than their number allows: the
    /// shape `k̂` is above the threshold of Vehtari et al. (2024).
    #[serde(default)]
    pub heavy_tails: u64,
    /// The largest estimated distance of a free-form ELBO to its optimum, in nats.
    pub max_remaining_nats: Option<f64>,
    /// The largest bound on such a distance, in nats.
    #[serde(default)]
    pub max_remaining_bound_nats: Option<f64>,
    /// What each method cost.
    pub cost: CostsByMethod,
    /// The comparison with closed forms, where the model has them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oracle: Option<ClosedFormComparison>,
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
