//! One row of a run's results: one datapoint, one method, one estimator.

use gap_spec::{
    Diagnostics, EncoderLabel, Estimator, Family, Method, Side, Split, StopKind, Trust,
};
use serde::{Deserialize, Serialize};

/// The version of the records' columns and of `summary.json`.
pub const SCHEMA_VERSION: u32 = 1;

/// One row: one datapoint, one method, one estimator.
///
/// Bad numerics are rows like any other: `value_nats` may be NaN, and `stop` and `trust` say why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The variant of the experiment, where it has several.
    pub variant: Option<String>,
    /// The data set.
    pub dataset: String,
    /// The part of it that the datapoint belongs to.
    pub split: Split,
    /// The datapoint's number in its data set, stable across splits and subsets.
    pub datapoint: u64,
    /// The seed of this repetition.
    pub seed: u64,
    /// The frozen model: rows with the same model, split and datapoint can be paired.
    pub model: String,
    /// The variational family.
    pub family: Family,
    /// Parameters of one `q` of it, `Q`; 0 as read from a table that is older than the column.
    pub family_params: u64,
    /// The encoder; `None` where no encoder took part.
    pub encoder: Option<EncoderLabel>,
    /// Where `q` came from.
    pub method: Method,
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
    /// Which side of `log p(x)` its expectation is on.
    pub side: Side,
    /// Whether its standard error can be relied on.
    pub trust: Trust,
    /// What else is known of the estimate. Tables that are older have nothing here.
    pub diagnostics: Diagnostics,
    /// Why the search for `q` ended.
    pub stop: StopKind,
    /// Steps that the search took.
    pub stop_steps: u32,
    /// Estimated distance of `L[q]` to the family's optimum, in nats, where it was estimated.
    pub remaining_nats: Option<f64>,
    /// Its standard error, in nats.
    pub remaining_std_error_nats: Option<f64>,
    /// What that distance is below for at least 95% of points, in nats: the estimate with a margin
    /// for its error. [`StopKind`] compares it with the tolerance.
    pub remaining_bound_nats: Option<f64>,
    /// How far below the best start's end the worst one's was, in nats, on common draws; for a search
    /// with several starts.
    pub starts_apart_nats: Option<f64>,
    /// Where the search that won had started (`prior` or `encoder`), for [`Method::FreeForm`].
    pub start: Option<String>,
    /// Wall time spent on this datapoint's `q`, its share of a batch, in seconds.
    pub seconds: f64,
    /// Joint gradients `∇_z log p(x, z)` spent on this datapoint's `q`.
    pub joint_gradients: u64,
    /// Wall time of fitting the encoder, in seconds, shared by all its datapoints.
    pub fit_seconds: f64,
    /// Joint gradients spent on fitting the encoder, shared by all its datapoints.
    pub fit_joint_gradients: u64,
}
