//! Tests of points that did not converge, and of points with several optima.

use crate::by_hand::{assert_near, by_hand, only_cell, summary_of, text};
use gap_schema::record::Record;
use gap_spec::{Method, StopKind, Trust};

/// Returns [`by_hand`] as if with several starts; `apart` says how far apart these ended, in nats, for each of
/// the three points.
fn with_starts_apart(apart: [Option<f64>; 3]) -> Vec<Record> {
    let mut records = by_hand();
    for row in &mut records {
        if row.method == Method::FreeForm {
            row.starts_apart_nats = apart[row.datapoint as usize];
        }
    }
    // The records need not be in the order of their datapoints.
    records.reverse();
    records
}

#[test]
fn points_with_different_optima_are_named_and_leave_the_gap_of_one_optimum() {
    // The gaps are 1, 2 and 6, so each choice of points has a different mean.
    for (apart, named, gap) in [
        ([0.0, 0.002, 0.01], vec![], 3.0),
        ([0.3, 0.002, 0.01], vec![(0, 0.3)], 4.0),
        ([0.3, 0.0, 0.011], vec![(0, 0.3), (2, 0.011)], 2.0),
        // A start failed on two points: this is not a different optimum, but no agreement either.
        ([0.0, f64::NAN, f64::INFINITY], vec![], 1.0),
    ] {
        let records = with_starts_apart(apart.map(Some));
        let cell = only_cell(summary_of("optima", &records));
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
    let cell = only_cell(summary_of("optima", &records));
    assert_eq!((cell.unconverged, cell.different_optima), (1, 1));
    let same = cell.amortization_gap_same_optimum.unwrap();
    assert_near(same.mean_nats, 6.0, "point 2 alone");
    assert_eq!(cell.max_remaining_bound_nats, Some(0.25));
    assert_eq!(cell.max_remaining_nats, Some(0.001));
}

#[test]
fn with_one_start_nothing_is_said_of_one_optimum() {
    for apart in [[None; 3], [Some(0.5); 3]] {
        let cell = only_cell(summary_of("one", &with_starts_apart(apart)));
        assert_eq!(cell.amortization_gap_same_optimum, None);
    }
    let cell = only_cell(summary_of("one", &by_hand()));
    assert_eq!(cell.different_optima, 0);
    assert!(!text(&summary_of("one", &by_hand())).contains("different_optima_points"));
    assert_eq!(cell.max_remaining_bound_nats, Some(0.004));
}

#[test]
fn unconverged_points_stay_in_the_gap_and_leave_the_converged_one() {
    let mut records = by_hand();
    for row in records.iter_mut().filter(|r| r.datapoint == 2) {
        if row.method == Method::FreeForm {
            row.stop = StopKind::BudgetSpent;
            row.remaining_nats = Some(0.7);
            row.trust = Trust::HeavyTail;
        }
    }
    let cell = only_cell(summary_of("unconverged", &records));
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
    let cell = only_cell(summary_of("unconverged", &records));
    assert_eq!(cell.amortization_gap_converged, None);
}

#[test]
fn the_census_says_how_many_optima_there_are_and_how_many_starts_would_find_them() {
    let mut records = by_hand();
    assert_eq!(only_cell(summary_of("one", &records)).optima, None);
    for row in records.iter_mut().filter(|r| r.method == Method::FreeForm) {
        let (text, stds, nats) = match row.datapoint {
            0 => ("0 0 0 0", 0.0, 0.0),
            // The optimum that one of four starts found takes 11: (1 − 1/4)¹¹ = 0.042.
            1 => ("0 1 0 0", 6.5, 0.25),
            _ => ("- 0 0 0", 0.0, 0.0),
        };
        row.start_optima = Some(text.to_owned());
        (row.optima_apart_stds, row.optima_apart_nats) = (Some(stds), Some(nats));
    }
    let summary = summary_of("census", &records);
    let optima = only_cell(summary).optima.unwrap();
    assert_eq!((optima.starts, optima.starts_needed), (4, 11));
    assert_near(optima.mean_optima, 4.0 / 3.0, "mean");
    assert_near(optima.several, 1.0 / 3.0, "several");
    assert_near(optima.found_once, 1.0 / 11.0, "found once");
    assert_eq!((optima.max_apart_stds, optima.max_apart_nats), (6.5, 0.25));
}
