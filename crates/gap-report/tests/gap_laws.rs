//! The decomposition against numbers worked out by hand, and laws that hold for any records.

mod synthetic;

use gap_report::summarize;
use gap_schema::Summary;
use gap_schema::record::{Estimator, Method, Record, Side, Split, StopKind};
use gap_schema::summary::{Cell, Cost, Mean};
use proptest::prelude::*;
use synthetic::{amortized, encoder, free_form, record, refined};

fn assert_near(actual: f64, expected: f64, what: &str) {
    let close = (actual - expected).abs() <= 1e-12 * expected.abs().max(1.0);
    assert!(close, "{what}: {actual} is not {expected}");
}

fn assert_mean(actual: Mean, mean: f64, std_error: f64, mc_std_error: f64, what: &str) {
    assert_near(actual.mean_nats, mean, what);
    assert_near(actual.std_error_nats, std_error, &format!("{what}, error"));
    assert_near(
        actual.mc_std_error_nats,
        mc_std_error,
        &format!("{what}, Monte Carlo"),
    );
}

/// Three test points; `q*` at −10, −20, −30; gaps of 1, 2 and 6; refined gaps of 0, 0.5 and 1.
fn by_hand() -> Vec<Record> {
    let encoder = encoder(&[4]);
    let mut records = Vec::new();
    for (i, gap, refined_gap, evidence) in
        [(0, 1.0, 0.0, 0.5), (1, 2.0, 0.5, 0.5), (2, 6.0, 1.0, 0.8)]
    {
        let elbo = -10.0 * (i as f64 + 1.0);
        records.extend(free_form(0, Split::Test, i, elbo, elbo + evidence));
        let rows = amortized(&encoder, 0, Split::Test, i, elbo - gap, elbo + 0.3);
        records.push(refined(5, &rows[0], elbo - refined_gap));
        records.extend(rows);
    }
    records
}

fn only_cell(summary: Summary) -> Cell {
    assert_eq!(summary.cells.len(), 1);
    summary.cells.into_iter().next().expect("it has one cell")
}

#[test]
fn three_points_give_the_means_and_errors_that_a_hand_computes() {
    let cell = only_cell(summarize("by-hand", 20, &by_hand()));
    let mc = 0.01 * 3f64.sqrt() / 3.0;
    let mc_gap = mc * 2f64.sqrt();
    assert_eq!(cell.cell, "seed=0/encoder=mlp-4/split=test");
    assert_eq!(
        (cell.n, cell.free_form_params, cell.amortized_params),
        (3, 60, Some(360))
    );
    // −10, −20, −30: standard deviation 10.
    assert_mean(cell.elbo_free_form, -20.0, 10.0 / 3f64.sqrt(), mc, "L[q*]");
    // 1, 2, 6: squared deviations 4 + 1 + 9 = 14, variance 7.
    let gap_error = (7.0f64 / 3.0).sqrt();
    assert_mean(
        cell.amortization_gap.unwrap(),
        3.0,
        gap_error,
        mc_gap,
        "amortization",
    );
    // 0.5, 0.5, 0.8: squared deviations 0.01 + 0.01 + 0.04, variance 0.03.
    assert_mean(cell.approximation_gap, 0.6, 0.1, mc_gap, "approximation");
    // 1.5, 2.5, 6.8: mean 3.6, squared deviations 4.41 + 1.21 + 10.24 = 15.86.
    let inference_error = (15.86f64 / 6.0).sqrt();
    assert_mean(
        cell.inference_gap.unwrap(),
        3.6,
        inference_error,
        mc_gap,
        "inference",
    );
    // 0, 0.5, 1: variance 0.25.
    let refined_error = (0.25f64 / 3.0).sqrt();
    assert_mean(
        cell.refined_gap.unwrap(),
        0.5,
        refined_error,
        mc_gap,
        "refined",
    );
    // 0.2, 0.2, 0.5: variance 0.03.
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
    let cell = only_cell(summarize("by-hand", 20, &by_hand()));
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
    let cell = only_cell(summarize("negative", 20, &records));
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
    let expected = only_cell(summarize("without", 20, &without));
    for damage in damages {
        for damaged_row in 0..by_hand().len() {
            let mut records = by_hand();
            if records[damaged_row].datapoint != 1 {
                continue;
            }
            damage(&mut records[damaged_row]);
            let cell = only_cell(summarize("damaged", 20, &records));
            assert_eq!((cell.n, cell.non_finite), (3, 1));
            assert_eq!(cell.amortization_gap, expected.amortization_gap);
            assert_eq!(cell.approximation_gap, expected.approximation_gap);
            assert_eq!(cell.refinement[0].gap, expected.refinement[0].gap);
            assert_eq!(cell.iw_gap, expected.iw_gap);
        }
    }
}

#[test]
fn unconverged_points_stay_in_the_gap_and_leave_the_converged_one() {
    let mut records = by_hand();
    for row in records.iter_mut().filter(|r| r.datapoint == 2) {
        if row.method == Method::FreeForm {
            row.stop = StopKind::BudgetSpent;
            row.remaining_nats = Some(0.7);
            row.trust = "heavy-tail".to_owned();
        }
    }
    let cell = only_cell(summarize("unconverged", 20, &records));
    assert_eq!((cell.unconverged, cell.untrusted), (1, 2));
    assert_eq!(cell.max_remaining_nats, Some(0.7));
    assert_near(cell.amortization_gap.unwrap().mean_nats, 3.0, "all");
    assert_near(
        cell.amortization_gap_converged.unwrap().mean_nats,
        1.5,
        "converged",
    );

    for row in &mut records {
        row.stop = StopKind::BudgetSpent;
    }
    let cell = only_cell(summarize("unconverged", 20, &records));
    assert_eq!(cell.amortization_gap_converged, None);
}

/// [`by_hand`] with two starts, whose ends are so far apart for each of the three points.
fn with_starts_apart(apart: [Option<f64>; 3]) -> Vec<Record> {
    let mut records = by_hand();
    for row in &mut records {
        if row.method == Method::FreeForm {
            row.starts_apart_nats = apart[row.datapoint as usize];
        }
    }
    // The order of records is not that of their numbers.
    records.reverse();
    records
}

#[test]
fn points_with_different_optima_are_named_and_leave_the_gap_of_one_optimum() {
    // The gaps are 1, 2 and 6: each choice of points has another mean.
    for (apart, named, gap) in [
        ([0.0, 0.002, 0.01], vec![], 3.0),
        ([0.3, 0.002, 0.01], vec![(0, 0.3)], 4.0),
        ([0.3, 0.0, 0.011], vec![(0, 0.3), (2, 0.011)], 2.0),
        // One start failed: that is no other optimum, and no agreement.
        ([0.0, f64::NAN, f64::INFINITY], vec![], 1.0),
    ] {
        let records = with_starts_apart(apart.map(Some));
        let cell = only_cell(summarize("optima", 20, &records));
        let points = cell.different_optima_points.iter();
        let found: Vec<(u64, f64)> = points.map(|p| (p.datapoint, p.nats)).collect();
        assert_eq!(found, named, "{apart:?}");
        assert_eq!(cell.different_optima, named.len() as u64);
        let same = cell.amortization_gap_same_optimum.unwrap();
        assert_near(same.mean_nats, gap, &format!("{apart:?}"));
        assert_near(cell.amortization_gap.unwrap().mean_nats, 3.0, "all");
        let converged = cell.amortization_gap_converged.unwrap();
        assert_near(converged.mean_nats, 3.0, "all converged");
    }
}

#[test]
fn a_point_must_have_converged_too_to_be_in_the_gap_of_one_optimum() {
    let mut records = with_starts_apart([Some(0.5), Some(0.0), Some(0.0)]);
    for row in records.iter_mut().filter(|r| r.datapoint == 1) {
        if row.method == Method::FreeForm {
            row.stop = StopKind::BudgetSpent;
            row.remaining_bound_nats = Some(0.25);
        }
    }
    let cell = only_cell(summarize("optima", 20, &records));
    assert_eq!((cell.unconverged, cell.different_optima), (1, 1));
    let same = cell.amortization_gap_same_optimum.unwrap();
    assert_near(same.mean_nats, 6.0, "point 2 alone");
    assert_eq!(cell.max_remaining_bound_nats, Some(0.25));
    assert_eq!(cell.max_remaining_nats, Some(0.001));
}

#[test]
fn with_one_start_nothing_is_said_of_one_optimum() {
    for apart in [[None; 3], [Some(0.5); 3]] {
        let cell = only_cell(summarize("one", 20, &with_starts_apart(apart)));
        assert_eq!(cell.amortization_gap_same_optimum, None);
    }
    let cell = only_cell(summarize("one", 20, &by_hand()));
    assert_eq!(cell.different_optima, 0);
    assert!(!text(&summarize("one", 20, &by_hand())).contains("different_optima_points"));
    assert_eq!(cell.max_remaining_bound_nats, Some(0.004));
}

#[test]
fn the_evidence_is_the_bound_with_the_higher_mean_not_the_higher_points() {
    // q* is better by 0.1 on one point, the encoder's q by 0.3 on the other.
    let encoder = encoder(&[]);
    let mut records = Vec::new();
    for (i, own, encoders) in [(0, -5.0, -5.1), (1, -5.3, -5.0)] {
        records.extend(free_form(0, Split::Test, i, -6.0, own));
        records.extend(amortized(&encoder, 0, Split::Test, i, -7.0, encoders));
    }
    let cell = only_cell(summarize("winner", 20, &records));
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
    let summary = summarize("generalisation", 20, &records);
    let [train, test] = &summary.cells[..] else {
        panic!("two cells, not {}", summary.cells.len());
    };
    assert_eq!((train.split, test.split), (Split::Train, Split::Test));
    assert_eq!(train.generalisation_gap, None);
    // Standard errors: 0.5 for (1, 2) and 1.5 for (4, 7).
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
    let cell = only_cell(summarize("oracle", 20, &records));
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

#[test]
fn one_free_form_q_serves_every_encoder_of_its_model_and_none_of_another() {
    let summary = summarize("shared", 20, &synthetic::run(2));
    let names: Vec<&str> = summary.cells.iter().map(|c| c.cell.as_str()).collect();
    assert_eq!(names.len(), 2 * 6 * 2);
    assert_eq!(
        names[..3],
        [
            "seed=0/encoder=linear/split=train",
            "seed=0/encoder=linear/split=test",
            "seed=0/encoder=mlp-4/split=train",
        ]
    );
    let free_form = |i: usize| summary.cells[i].elbo_free_form;
    assert_eq!(free_form(0), free_form(2), "same model, same points");
    assert_ne!(
        free_form(0),
        free_form(12),
        "another seed has another model"
    );
}

#[test]
fn a_model_without_encoders_has_a_cell_without_one() {
    let records = free_form(3, Split::Train, 0, -9.0, -8.5);
    let cell = only_cell(summarize("alone", 20, &records));
    assert_eq!(cell.cell, "seed=3/split=train");
    assert_eq!(
        (cell.encoder, cell.amortization_gap, cell.cost.amortized),
        (None, None, None)
    );
    assert_near(cell.approximation_gap.mean_nats, 0.5, "approximation");
    assert!(
        cell.approximation_gap.std_error_nats.is_nan(),
        "one point has no spread"
    );
}

#[test]
fn a_point_that_an_interrupted_run_left_unmeasured_is_not_in_its_cell() {
    let mut records = by_hand();
    records.retain(|r| r.datapoint != 2 || r.method == Method::FreeForm);
    let cell = only_cell(summarize("interrupted", 20, &records));
    assert_eq!((cell.n, cell.non_finite), (2, 0));
    assert_near(
        cell.elbo_free_form.mean_nats,
        -15.0,
        "all terms on the same points",
    );
}

/// What a summary says, with NaN equal to itself.
fn text(summary: &Summary) -> String {
    serde_json::to_string(summary).expect("a summary is JSON")
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
        let summary = summarize("shuffled", 20, &shuffled);
        prop_assert_eq!(text(&summary), text(&summarize("shuffled", 20, &records)));
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
        let cell = only_cell(summarize("identity", 20, &records));
        let sum = cell.approximation_gap.mean_nats + cell.amortization_gap.unwrap().mean_nats;
        prop_assert!((cell.inference_gap.unwrap().mean_nats - sum).abs() < 1e-9);
        let evidence = cell.log_evidence.mean.mean_nats;
        prop_assert!(evidence >= cell.iw_free_form.mean.mean_nats);
        prop_assert!(evidence >= cell.iw_amortized.unwrap().mean.mean_nats);
    }
}
