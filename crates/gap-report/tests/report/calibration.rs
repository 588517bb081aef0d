//! Tests of whether reported errors are correct, and biases on the stated side.

use crate::by_hand::assert_near;
use gap_report::summarize;
use gap_schema::results::ResultRows;
use gap_schema::summary::EstimatorCalibration;
use gap_schema::{CalibrationRow, Summary};
use gap_spec::{Estimator, Side};

/// Returns the row of an importance-weighted bound with correct errors, over 200 replicates. Tests change the
/// fields that matter to them.
pub fn row(datapoint: u64) -> CalibrationRow {
    CalibrationRow {
        variant: None,
        seed: 0,
        datapoint,
        latent_dim: 10,
        estimator: Estimator::ImportanceWeighted,
        side: Side::Lower,
        n_samples: 1000.0,
        n_temperatures: None,
        n_replicates: 200,
        non_finite: 0,
        untrusted: 0,
        exact_nats: -20.0,
        target_nats: None,
        mean_nats: -20.004,
        bias_nats: -0.004,
        bias_std_error_nats: 0.002,
        spread_nats: 0.028,
        std_error_nats: 0.0266,
        coverage: 0.95,
        coverage_trusted: Some(0.95),
        seconds: 0.01,
        joint_evaluations: 1000.0,
    }
}

pub fn calibrated(rows: &[CalibrationRow]) -> Summary {
    let rows = ResultRows {
        calibration: rows.to_vec(),
        ..ResultRows::default()
    };
    summarize("calibration", &rows)
}

fn only_calibration(row: CalibrationRow) -> EstimatorCalibration {
    let calibration = calibrated(&[row]).calibration;
    assert_eq!(calibration.len(), 1);
    calibration.into_iter().next().expect("there is one")
}

#[test]
fn the_ratio_of_errors_has_the_error_of_the_spread() {
    let calibration = only_calibration(row(0));
    assert_near(calibration.std_error_ratio, 0.95, "ratio");
    let expected = 0.95 / 398f64.sqrt();
    assert_near(calibration.std_error_ratio_std_error, expected, "its error");
    assert_eq!(calibration.row, row(0));
    assert_eq!(calibration.minus_target_nats, None);
    let of_elbo = CalibrationRow {
        target_nats: Some(-20.006),
        ..row(0)
    };
    let minus_target = only_calibration(of_elbo).minus_target_nats.unwrap();
    assert!((minus_target - 0.002).abs() < 1e-12, "{minus_target}");
}

#[test]
fn the_interval_of_the_coverage_has_the_ends_that_wilson_gives() {
    // 190 of 200, worked out by hand with z = 1.96: the centre is 0.94152, the half width 0.03110.
    let of = |coverage, n_replicates, non_finite| {
        let calibration = only_calibration(CalibrationRow {
            coverage,
            n_replicates,
            non_finite,
            ..row(0)
        });
        [calibration.coverage_low, calibration.coverage_high]
    };
    let [low, high] = of(0.95, 200, 0);
    assert!(
        (low - 0.910_4).abs() < 1e-4 && (high - 0.972_6).abs() < 1e-4,
        "{low} {high}"
    );
    assert_eq!(
        of(0.95, 210, 10),
        [low, high],
        "only finite replicates count"
    );
    let [low, high] = of(1.0, 200, 0);
    assert!(
        low > 0.97 && low < 1.0 && high <= 1.0 + 1e-12,
        "{low} {high}"
    );
}

#[test]
fn a_side_holds_up_to_three_errors_of_the_bias() {
    for (side, bias, holds) in [
        (Side::Lower, -1.0, Some(true)),
        (Side::Lower, 0.0059, Some(true)),
        (Side::Lower, 0.0061, Some(false)),
        (Side::Upper, 1.0, Some(true)),
        (Side::Upper, -0.0059, Some(true)),
        (Side::Upper, -0.0061, Some(false)),
        (Side::Exact, 0.0061, Some(false)),
        (Side::Exact, -0.0061, Some(false)),
        (Side::Exact, 0.0, Some(true)),
        (Side::Neither, 1.0, None),
        (Side::Lower, f64::NAN, None),
    ] {
        let calibration = only_calibration(CalibrationRow {
            side,
            bias_nats: bias,
            ..row(0)
        });
        assert_eq!(calibration.side_holds, holds, "{side}, {bias}");
    }
}

#[test]
fn the_order_of_rows_has_no_effect() {
    let mut rows = vec![row(1), row(0)];
    for (variant, seed) in [("z10", 0), ("z2", 1), ("z2", 0)] {
        rows.push(CalibrationRow {
            variant: Some(variant.to_owned()),
            seed,
            ..row(0)
        });
    }
    let summary = calibrated(&rows);
    rows.reverse();
    assert_eq!(calibrated(&rows), summary);
    let found: Vec<(Option<&str>, u64, u64)> = summary
        .calibration
        .iter()
        .map(|c| (c.row.variant.as_deref(), c.row.seed, c.row.datapoint))
        .collect();
    assert_eq!(
        found,
        [
            (None, 0, 0),
            (None, 0, 1),
            (Some("z2"), 0, 0),
            (Some("z2"), 1, 0),
            (Some("z10"), 0, 0),
        ]
    );
}

#[test]
fn a_calibration_is_read_back_from_json_as_it_was() {
    let without_spread = CalibrationRow {
        spread_nats: 0.0,
        std_error_nats: 0.0,
        ..row(1)
    };
    let summary = calibrated(&[row(0), without_spread]);
    assert!(summary.calibration[1].std_error_ratio.is_nan());
    let json = serde_json::to_string(&summary).unwrap();
    let read: Summary = serde_json::from_str(&json).unwrap();
    // NaN does not equal itself, but its text does.
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
    assert_eq!(read.calibration[0], summary.calibration[0]);
}
