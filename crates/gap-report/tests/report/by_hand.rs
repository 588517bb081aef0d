//! A run whose gaps can be computed by hand, and helpers to check numbers.

use crate::synthetic::{amortized, encoder, free_form, refined};
use gap_report::summarize;
use gap_schema::Summary;
use gap_schema::record::Record;
use gap_schema::results::ResultRows;
use gap_schema::summary::{Cell, Mean};
use gap_spec::Split;

/// Returns the summary of a run that has records and no other rows.
pub fn summary_of(experiment: &str, records: &[Record]) -> Summary {
    let rows = ResultRows {
        records: records.to_vec(),
        ..ResultRows::default()
    };
    summarize(experiment, &rows)
}

pub fn assert_near(actual: f64, expected: f64, what: &str) {
    let close = (actual - expected).abs() <= 1e-12 * expected.abs().max(1.0);
    assert!(close, "{what}: {actual} is not {expected}");
}

pub fn assert_mean(actual: Mean, mean: f64, std_error: f64, mc_std_error: f64, what: &str) {
    assert_near(actual.mean_nats, mean, what);
    assert_near(actual.std_error_nats, std_error, &format!("{what}, error"));
    assert_near(
        actual.mc_std_error_nats,
        mc_std_error,
        &format!("{what}, Monte Carlo"),
    );
}

/// Returns the records of three test points: `L[q*]` is −10, −20 and −30, the gaps are 1, 2 and 6, and the
/// refined gaps are 0, 0.5 and 1.
pub fn by_hand() -> Vec<Record> {
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

pub fn only_cell(summary: Summary) -> Cell {
    assert_eq!(summary.cells.len(), 1);
    summary.cells.into_iter().next().expect("it has one cell")
}

/// Returns the summary as text, in which NaN equals NaN.
pub fn text(summary: &Summary) -> String {
    serde_json::to_string(summary).expect("a summary is JSON")
}
