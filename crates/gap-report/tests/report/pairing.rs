//! Tests of which rows are paired in one cell.

use crate::by_hand::{assert_near, by_hand, only_cell, summary_of};
use crate::synthetic::{self, free_form};
use gap_spec::{Method, Split};

#[test]
fn one_free_form_q_serves_every_encoder_of_its_model_and_none_of_another() {
    let summary = summary_of("shared", &synthetic::run(2));
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
    let cell = only_cell(summary_of("alone", &records));
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
    let cell = only_cell(summary_of("interrupted", &records));
    assert_eq!((cell.n, cell.non_finite), (2, 0));
    assert_near(
        cell.elbo_free_form.mean_nats,
        -15.0,
        "all terms on the same points",
    );
}
