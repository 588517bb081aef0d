//! Tests of the decomposition against numbers worked out by hand, and of laws that hold for any records.

use crate::by_hand::{assert_mean, assert_near, by_hand, only_cell, summary_of, text};
use crate::synthetic::{self, amortized, encoder, free_form, record};
use gap_schema::record::Record;
use gap_schema::summary::Cost;
use gap_spec::{Estimator, Method, Side, Split, StopKind};
use proptest::prelude::*;

#[test]
fn three_points_give_the_means_and_errors_that_a_hand_computes() {
    let cell = only_cell(summary_of("by-hand", &by_hand()));
    let mc = 0.01 * 3f64.sqrt() / 3.0;
    let mc_gap = mc * 2f64.sqrt();
    assert_eq!(cell.cell, "seed=0/encoder=mlp-4/split=test");
    assert_eq!(
        (cell.n, cell.free_form_params, cell.amortized_params),
        (3, 60, Some(360))
    );
    // −10, −20, −30: the standard deviation is 10.
    assert_mean(cell.elbo_free_form, -20.0, 10.0 / 3f64.sqrt(), mc, "L[q*]");
    // 1, 2, 6: the squared deviations are 4 + 1 + 9 = 14, the variance is 7.
    let gap_error = (7.0f64 / 3.0).sqrt();
    assert_mean(
        cell.amortization_gap.unwrap(),
        3.0,
        gap_error,
        mc_gap,
        "amortization",
    );
    // 0.5, 0.5, 0.8: the squared deviations are 0.01 + 0.01 + 0.04, the variance is 0.03.
    assert_mean(cell.approximation_gap, 0.6, 0.1, mc_gap, "approximation");
    // 1.5, 2.5, 6.8: the mean is 3.6, the squared deviations are 4.41 + 1.21 + 10.24 = 15.86.
    let inference_error = (15.86f64 / 6.0).sqrt();
    assert_mean(
        cell.inference_gap.unwrap(),
        3.6,
        inference_error,
        mc_gap,
        "inference",
    );
    // 0, 0.5, 1: the variance is 0.25.
    let refined_error = (0.25f64 / 3.0).sqrt();
    assert_mean(
        cell.refined_gap.unwrap(),
        0.5,
        refined_error,
        mc_gap,
        "refined",
    );
    // 0.2, 0.2, 0.5: the variance is 0.03.
    assert_mean(cell.iw_gap.unwrap(), 0.3, 0.1, mc_gap, "IW");
    assert_eq!(cell.log_evidence.side, Side::Lower);
    assert_eq!(cell.log_evidence.estimator, "importance-weighted");
    assert_eq!(cell.elbo_refined.unwrap().steps, 5);
    assert_eq!(cell.iw_free_form.n_samples, 1000);
    assert_eq!(cell.max_remaining_nats, Some(0.001));
    assert!(cell.oracle.is_none() && cell.generalisation_gap.is_none());
}

#[test]
fn the_cost_of_a_q_counts_once_however_many_estimates_it_has() {
    let cell = only_cell(summary_of("by-hand", &by_hand()));
    let near = |cost: Cost, seconds: f64, gradients: f64| {
        assert_near(cost.seconds, seconds, "seconds");
        assert_near(cost.joint_gradients, gradients, "gradients");
    };
    near(cell.cost.free_form, 1.5, 4800.0);
    near(cell.cost.amortized.unwrap(), 0.0003, 0.0);
    near(cell.cost.refined.unwrap(), 0.0303, 80.0);
    near(cell.cost.encoder_fit.unwrap(), 12.0, 200_000.0);
}

#[test]
fn negative_gaps_are_counted_and_pull_the_mean_down() {
    let mut records = by_hand();
    for row in &mut records {
        if row.method == Method::Amortized && row.estimator == Estimator::Elbo && row.datapoint == 0
        {
            row.value_nats = -9.0;
        }
    }
    let cell = only_cell(summary_of("negative", &records));
    assert_eq!(cell.negative_gaps, 1);
    assert_near(
        cell.amortization_gap.unwrap().mean_nats,
        (-1.0 + 2.0 + 6.0) / 3.0,
        "gap",
    );
}

#[test]
fn a_point_that_is_not_finite_is_counted_and_is_in_no_mean() {
    type Damage = fn(&mut Record);
    let damages: [Damage; 3] = [
        |r| r.value_nats = f64::NAN,
        |r| r.value_nats = f64::NEG_INFINITY,
        |r| r.stop = StopKind::NonFinite,
    ];
    let without: Vec<Record> = by_hand().into_iter().filter(|r| r.datapoint != 1).collect();
    let expected = only_cell(summary_of("without", &without));
    for damage in damages {
        for damaged_row in 0..by_hand().len() {
            let mut records = by_hand();
            if records[damaged_row].datapoint != 1 {
                continue;
            }
            damage(&mut records[damaged_row]);
            let cell = only_cell(summary_of("damaged", &records));
            assert_eq!((cell.n, cell.non_finite), (3, 1));
            assert_eq!(cell.amortization_gap, expected.amortization_gap);
            assert_eq!(cell.approximation_gap, expected.approximation_gap);
            assert_eq!(cell.refinement[0].gap, expected.refinement[0].gap);
            assert_eq!(cell.iw_gap, expected.iw_gap);
        }
    }
}

#[test]
fn the_evidence_is_the_bound_with_the_higher_mean_not_the_higher_points() {
    // The bound from q* is higher by 0.1 on the first point, the one from the encoder's q by 0.3 on the second.
    let encoder = encoder(&[]);
    let mut records = Vec::new();
    for (i, own, encoders) in [(0, -5.0, -5.1), (1, -5.3, -5.0)] {
        records.extend(free_form(0, Split::Test, i, -6.0, own));
        records.extend(amortized(&encoder, 0, Split::Test, i, -7.0, encoders));
    }
    let cell = only_cell(summary_of("winner", &records));
    assert_near(cell.log_evidence.mean.mean_nats, -5.05, "log evidence");
    assert_near(cell.iw_free_form.mean.mean_nats, -5.15, "IW[q*]");
}

#[test]
fn the_generalisation_gap_is_test_minus_train_of_the_same_encoder() {
    let encoder = encoder(&[4]);
    let mut records = Vec::new();
    for (split, gaps) in [(Split::Train, [1.0, 2.0]), (Split::Test, [4.0, 7.0])] {
        for (i, gap) in gaps.into_iter().enumerate() {
            records.extend(free_form(0, split, i as u64, -9.0, -8.0));
            records.extend(amortized(&encoder, 0, split, i as u64, -9.0 - gap, -8.0));
        }
    }
    let summary = summary_of("generalisation", &records);
    let [train, test] = &summary.cells[..] else {
        panic!("two cells, not {}", summary.cells.len());
    };
    assert_eq!((train.split, test.split), (Split::Train, Split::Test));
    assert_eq!(train.generalisation_gap, None);
    // The standard errors are 0.5 for (1, 2) and 1.5 for (4, 7).
    let gap = test.generalisation_gap.unwrap();
    assert_mean(
        gap,
        4.0,
        2.5f64.sqrt(),
        0.01 * 2f64.sqrt(),
        "generalisation",
    );
}

#[test]
fn closed_forms_become_the_evidence_and_the_oracle() {
    let encoder = encoder(&[]);
    let mut records = Vec::new();
    for i in 0..4 {
        let exact = |method, estimator, value_nats| Record {
            method,
            estimator,
            n_samples: 0,
            std_error_nats: 0.0,
            side: Side::Exact,
            ..record(0, Split::Test, i, value_nats)
        };
        records.extend(free_form(0, Split::Test, i, -6.02, -5.1));
        let rows = amortized(&encoder, 0, Split::Test, i, -7.1, -5.2);
        records.push(Record {
            encoder: Some(encoder.clone()),
            ..exact(Method::Amortized, Estimator::ExactElbo, -7.0)
        });
        records.extend(rows);
        records.push(exact(Method::FreeForm, Estimator::ExactElbo, -6.0));
        records.push(exact(Method::Model, Estimator::ClosedForm, -5.0));
        records.push(exact(Method::Model, Estimator::OptimalElbo, -5.9));
    }
    let cell = only_cell(summary_of("oracle", &records));
    assert_eq!(cell.log_evidence.side, Side::Exact);
    assert_eq!(cell.log_evidence.estimator, "closed-form");
    assert_near(cell.approximation_gap.mean_nats, 1.02, "approximation");
    let oracle = cell.oracle.unwrap();
    assert_mean(oracle.log_evidence, -5.0, 0.0, 0.0, "log p");
    assert_near(oracle.log_evidence_error.mean_nats, -0.1, "IW − log p");
    assert_near(oracle.free_form_shortfall.mean_nats, 0.1, "shortfall");
    assert_near(oracle.elbo_error.mean_nats, -0.02, "ELBO error");
    assert_mean(oracle.amortization_gap.unwrap(), 1.0, 0.0, 0.0, "exact gap");
}

proptest! {
    #[test]
    fn the_order_of_records_has_no_effect(
        shuffled in Just(synthetic::run(2)).prop_shuffle(),
        damaged in 0usize..100,
    ) {
        let (mut shuffled, mut records) = (shuffled, synthetic::run(2));
        let victim = records[damaged].clone();
        for row in shuffled.iter_mut().chain(&mut records).filter(|row| **row == victim) {
            row.value_nats = f64::NAN;
        }
        let summary = summary_of("shuffled", &shuffled);
        prop_assert_eq!(text(&summary), text(&summary_of("shuffled", &records)));
        let non_finite: u64 = summary.cells.iter().map(|c| c.non_finite).sum();
        prop_assert!(non_finite >= 1);
    }

    #[test]
    fn the_inference_gap_is_the_sum_of_the_other_two(
        points in prop::collection::vec((-200.0..0.0, -1.0..9.0, -2.0..9.0, -1.0..9.0), 1..40),
    ) {
        let encoder = encoder(&[16]);
        let mut records = Vec::new();
        for (i, (elbo, gap, iw, iw_gap)) in points.into_iter().enumerate() {
            let i = i as u64;
            records.extend(free_form(0, Split::Test, i, elbo, elbo + iw));
            let rows = amortized(&encoder, 0, Split::Test, i, elbo - gap, elbo + iw - iw_gap);
            records.extend(rows);
        }
        let cell = only_cell(summary_of("identity", &records));
        let sum = cell.approximation_gap.mean_nats + cell.amortization_gap.unwrap().mean_nats;
        prop_assert!((cell.inference_gap.unwrap().mean_nats - sum).abs() < 1e-9);
        let evidence = cell.log_evidence.mean.mean_nats;
        prop_assert!(evidence >= cell.iw_free_form.mean.mean_nats);
        prop_assert!(evidence >= cell.iw_amortized.unwrap().mean.mean_nats);
    }
}
