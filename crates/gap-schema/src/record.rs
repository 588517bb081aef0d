//! One row of a run's results, for one datapoint, method and estimator.

use gap_spec::{
    Diagnostics, EncoderLabel, Estimator, Family, Method, Side, Split, StopKind, Trust,
};
use serde::{Deserialize, Serialize};

/// The version of the records' columns and of `summary.json`.
pub const SCHEMA_VERSION: u32 = 1;

/// One row of results, for one datapoint, method and estimator.
///
/// Rows with failed numerics are kept: `value_nats` may be NaN, and `stop` and `trust` say why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The variant of the experiment; `None` without variants.
    pub variant: Option<String>,
    /// The data set.
    pub dataset: String,
    /// The part of the data set that the datapoint belongs to.
    pub split: Split,
    /// The datapoint's number in its data set, stable across splits and subsets.
    pub datapoint: u64,
    /// The seed of this repetition.
    pub seed: u64,
    /// The frozen model: rows with the same model, split and datapoint can be paired.
    pub model: String,
    /// The variational family.
    pub family: Family,
    /// `Q`, the number of variational parameters of one datapoint; 0 if the table is older than this column.
    pub family_params: u64,
    /// The encoder; `None` if the value does not depend on one.
    pub encoder: Option<EncoderLabel>,
    /// How `q` was found.
    pub method: Method,
    /// The name of the `[protocols.NAME]` or the `[refinements.NAME]` that found `q`; `None` for `[free_form]`
    /// and `[refinement]`, and for other methods.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub method_name: Option<String>,
    /// Ascent steps from the encoder's output, for [`Method::Refined`].
    pub refinement_steps: Option<u32>,
    /// What was estimated.
    pub estimator: Estimator,
    /// Draws per datapoint (`K` for the importance-weighted bound); 0 for exact values.
    pub n_samples: u64,
    /// The estimate, in nats.
    pub value_nats: f64,
    /// Its Monte Carlo standard error, in nats; 0 for exact values.
    pub std_error_nats: f64,
    /// On which side of `log p(x)` the expectation of the estimate lies.
    pub side: Side,
    /// Whether the standard error can be relied on.
    pub trust: Trust,
    /// Other diagnostics of the estimate, and its cost; empty if the table is older than these columns.
    pub diagnostics: Diagnostics,
    /// Why the search for `q` ended.
    pub stop: StopKind,
    /// The number of steps that the search took.
    pub stop_steps: u32,
    /// Estimated distance of `L[q]` to the family's optimum, in nats, if it was estimated.
    pub remaining_nats: Option<f64>,
    /// The standard error of that distance, in nats.
    pub remaining_std_error_nats: Option<f64>,
    /// An upper bound on the distance that holds for at least 95% of points, in nats: the estimate with a
    /// margin for its error. The search has converged if this is below the tolerance.
    pub remaining_bound_nats: Option<f64>,
    /// How far the ELBO of the worst start's endpoint is below that of the best one, in nats, on common draws.
    /// NaN if a start failed. `None` with one start, for a family whose search begins at the result in a
    /// smaller family, and for other methods than [`Method::FreeForm`].
    pub starts_apart_nats: Option<f64>,
    /// The start of the ascent that was kept (`prior`, `encoder` or `random`), for [`Method::FreeForm`].
    pub start: Option<String>,
    /// The number of the optimum that each start led to, in the order of the starts, as in `0 1 0 -`: optimum 0
    /// has the highest ELBO, and `-` is a start that failed. `None` with one start, and for other methods than
    /// [`Method::FreeForm`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub start_optima: Option<String>,
    /// The largest distance between the means of two optima, in standard deviations of the two `q`s; 0 if all
    /// starts led to one optimum.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub optima_apart_stds: Option<f64>,
    /// How far the ELBO of the worst optimum is below that of the best, in nats.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub optima_apart_nats: Option<f64>,
    /// Wall time spent on this datapoint's `q`, a share of its batch's time, in seconds.
    pub seconds: f64,
    /// Joint gradients `∇_z log p(x, z)` spent on this datapoint's `q`.
    pub joint_gradients: u64,
    /// Wall time of fitting the encoder, in seconds; the same for all datapoints.
    pub fit_seconds: f64,
    /// Joint gradients spent on fitting the encoder; the same for all datapoints.
    pub fit_joint_gradients: u64,
    /// The encoder's inputs that are the same at all training points, of those that it standardizes; the same
    /// for all datapoints, and 0 if the table is older than this column.
    pub constant_inputs: u64,
}
