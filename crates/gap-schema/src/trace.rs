//! One row of `ascents.csv`: how far an ascent has come after a number of steps.
//!
//! A row holds means over the datapoints of a split, not single datapoints, since every ascent is recorded
//! about fifty times. Distances to the optimum are differences of `−L` per datapoint. Both terms are evaluated
//! on common draws that no ascent has used.

use gap_spec::Split;
use gap_spec::Start;
use serde::{Deserialize, Serialize};

/// An ascent has reached the optimum when its mean distance to it is below this, nats.
pub const REACHED_TOLERANCE_NATS: f64 = 0.01;

/// A datapoint counts as at another optimum if its ascent leads to one whose ELBO is more than this below the
/// best known one, nats.
pub const MIN_OTHER_OPTIMUM_NATS: f64 = 0.05;

/// How far an ascent has come after a number of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TracePoint {
    /// The variant of the experiment; `None` without variants.
    pub variant: Option<String>,
    /// The data set.
    pub dataset: String,
    /// The part of the data set.
    pub split: Split,
    /// The seed of this repetition.
    pub seed: u64,
    /// The frozen model.
    pub model: String,
    /// Dimensions of `z`.
    pub latent_dim: u32,
    /// The ascent's name in the spec.
    pub ascent: String,
    /// Its phases, each as step rule, noise, and draws per datapoint and step, for example
    /// `newton-stein/fixed/16 + averaged-newton/growing-sequence/32`.
    pub phases: String,
    /// Where it started.
    pub start: Start,
    /// The number of datapoints.
    pub n: u64,
    /// Evaluations so far, the maximum over datapoints.
    pub steps: u32,
    /// Joint gradients per datapoint so far.
    pub joint_gradients: f64,
    /// Wall time of all `n` datapoints so far, seconds, without evaluations of the distance.
    pub seconds: f64,
    /// Datapoints that take further steps; at the end of the ascent, those that met no stopping rule.
    pub climbing: u64,
    /// Mean distance to the optimum that each datapoint's ascent leads to, nats.
    pub nats_to_go: f64,
    /// Its standard error over datapoints, of paired differences.
    pub nats_to_go_std_error: f64,
    /// The median distance.
    pub nats_to_go_median: f64,
    /// The largest distance.
    pub nats_to_go_worst: f64,
    /// Datapoints with more than [`REACHED_TOLERANCE_NATS`] to go.
    pub above_tolerance: u64,
    /// Datapoints whose ascent leads to an optimum more than [`MIN_OTHER_OPTIMUM_NATS`] below the best known
    /// one.
    pub other_optimum: u64,
    /// How far these optima are below the best known ones, summed over datapoints and divided by `n`, nats.
    pub other_optimum_nats: f64,
    /// Datapoints with values that are not finite; they are in no mean.
    pub non_finite: u64,
    /// Joint gradients per datapoint that the longer search for a reference optimum took from the same start.
    pub reference_joint_gradients: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows_file::{rows_from_csv, rows_to_csv};

    #[test]
    fn points_are_read_back_as_they_were_written() {
        let point = TracePoint {
            variant: None,
            dataset: "digits".into(),
            split: Split::Test,
            seed: 3,
            model: "model-1".into(),
            latent_dim: 10,
            ascent: "default".into(),
            phases: "newton-stein/fixed/16 + averaged-newton/growing-sequence/32".into(),
            start: Start::Prior,
            n: 200,
            steps: 17,
            joint_gradients: 271.25,
            seconds: 0.1 + 0.2,
            climbing: 4,
            nats_to_go: -1e-5,
            nats_to_go_std_error: f64::NAN,
            nats_to_go_median: 0.0,
            nats_to_go_worst: 2.5,
            above_tolerance: 3,
            other_optimum: 1,
            other_optimum_nats: 0.04,
            non_finite: 0,
            reference_joint_gradients: 5000.0,
        };
        let named = TracePoint {
            variant: Some("digits-z2".into()),
            start: Start::Encoder,
            nats_to_go_std_error: 0.25,
            ..point.clone()
        };
        let path = "ascents.csv".as_ref();
        let csv = rows_to_csv(&[point.clone(), named.clone()]).unwrap();
        let back: Vec<TracePoint> = rows_from_csv(&csv, path).unwrap();
        assert_eq!(back[1], named);
        assert!(back[0].nats_to_go_std_error.is_nan());
        assert_eq!(back[0].seconds.to_bits(), point.seconds.to_bits());
        let error = rows_from_csv::<TracePoint>(b"a,b\n1,2\n", path).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("ascents.csv"), "{message}");
    }
}
