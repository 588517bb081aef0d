//! Tests of bounds from both sides on points that a model drew itself.

use crate::by_hand::{assert_mean, assert_near, summary_of};
use crate::synthetic::simulated;
use gap_schema::Summary;
use gap_schema::record::Record;
use gap_schema::summary::EvidenceSandwich;
use gap_spec::{Estimator, Trust};

fn only_sandwich(records: &[Record]) -> EvidenceSandwich {
    let summary = summary_of("sandwich", records);
    assert!(summary.cells.is_empty(), "simulated points are in no cell");
    let [sandwich] = &summary.sandwich[..] else {
        panic!("one sandwich, not {}", summary.sandwich.len());
    };
    sandwich.clone()
}

/// Returns the rows of three points, with widths of 0.1, 0.4 and 0.4.
fn three() -> Vec<Record> {
    let bounds = [[-10.0, -9.9], [-20.0, -19.6], [-30.0, -29.6]];
    let points = (0..).zip(bounds);
    points
        .flat_map(|(i, bounds)| simulated(0, i, bounds, None))
        .collect()
}

#[test]
fn the_width_is_the_mean_of_paired_differences() {
    let sandwich = only_sandwich(&three());
    assert_eq!((sandwich.n, sandwich.negative_widths), (3, 0));
    // The squared deviations are 0.04, 0.01 and 0.01, so the variance is 0.03.
    let mc = (2.0 * 0.02f64.powi(2)).sqrt() * 3f64.sqrt() / 3.0;
    assert_mean(sandwich.width, 0.3, 0.1, mc, "width");
    assert_near(sandwich.lower.mean_nats, -20.0, "lower");
    assert_near(sandwich.upper.mean_nats, -19.7, "upper");
    assert_near(sandwich.elbo_free_form.unwrap().mean_nats, -20.5, "L[q*]");
    assert_near(sandwich.iw_free_form.unwrap().mean_nats, -20.1, "IW[q*]");
    assert_eq!(sandwich.pareto_smoothed_free_form, None);
    assert_eq!(
        (sandwich.n_chains, sandwich.n_temperatures),
        (16, Some(100))
    );
    assert_near(sandwich.acceptance.unwrap(), 0.7, "acceptance");
    assert_near(sandwich.seconds, 1.5, "seconds of both directions");
    assert_eq!((sandwich.exact, sandwich.contains_exact), (None, None));
    assert_eq!(sandwich.model, "decoder-0");
}

#[test]
fn a_sandwich_holds_the_exact_value_up_to_two_errors_of_either_bound() {
    // Both bounds have a standard error of 0.02.
    for (exact, holds) in [
        (-9.95, true),
        (-10.039, true),
        (-10.041, false),
        (-9.861, true),
        (-9.859, false),
    ] {
        let sandwich = only_sandwich(&simulated(0, 0, [-10.0, -9.9], Some(exact)));
        assert_eq!(sandwich.contains_exact, Some(u64::from(holds)), "{exact}");
        assert_near(sandwich.exact.unwrap().mean_nats, exact, "exact");
    }
}

#[test]
fn bounds_that_cross_are_counted_and_stay_in_the_width() {
    let mut records = three();
    records.extend(simulated(0, 3, [-10.0, -10.5], None));
    let sandwich = only_sandwich(&records);
    assert_eq!((sandwich.n, sandwich.negative_widths), (4, 1));
    assert_near(sandwich.width.mean_nats, 0.1, "width");
}

#[test]
fn points_that_are_not_finite_or_not_trusted_are_counted() {
    let mut records = three();
    for row in &mut records {
        match (row.datapoint, row.estimator) {
            (0, Estimator::AnnealedReverse) => {
                row.value_nats = f64::NEG_INFINITY;
                row.trust = Trust::NonFinite;
            }
            (1, Estimator::Annealed) => row.trust = Trust::LowAcceptance,
            // The ELBO is not a bound of the sandwich, so it is not counted.
            (2, Estimator::Elbo) => row.trust = Trust::HeavyTail,
            _ => {}
        }
    }
    let sandwich = only_sandwich(&records);
    assert_eq!(
        (sandwich.n, sandwich.non_finite, sandwich.untrusted),
        (3, 1, 2)
    );
    assert_eq!(sandwich.untrusted_by_reason["low-acceptance"], 1);
    assert_near(sandwich.width.mean_nats, 0.4, "width");
}

#[test]
fn every_model_of_a_seed_has_its_own_sandwich() {
    let mut records = three();
    for row in three() {
        records.push(Record {
            model: "decoder-0b".to_owned(),
            ..row
        });
    }
    records.extend(simulated(1, 0, [-5.0, -4.5], None));
    // The order of records must have no effect.
    records.reverse();
    let summary = summary_of("models", &records);
    let models: Vec<(u64, &str)> = summary
        .sandwich
        .iter()
        .map(|sandwich| (sandwich.seed, sandwich.model.as_str()))
        .collect();
    assert_eq!(
        models,
        [(0, "decoder-0"), (0, "decoder-0b"), (1, "decoder-1")]
    );
}

#[test]
fn points_with_one_bound_make_no_sandwich() {
    let mut records = three();
    records.retain(|row| row.estimator != Estimator::AnnealedReverse);
    assert!(summary_of("open", &records).sandwich.is_empty());
}

#[test]
fn a_sandwich_is_read_back_from_json_as_it_was() {
    let mut records = three();
    records.extend(simulated(1, 0, [-5.0, -4.5], Some(-4.7)));
    records.extend(simulated(1, 1, [-5.0, -4.5], Some(-4.7)));
    let summary = summary_of("json", &records);
    let json = serde_json::to_string(&summary).unwrap();
    let read: Summary = serde_json::from_str(&json).unwrap();
    assert_eq!(read, summary);
}
