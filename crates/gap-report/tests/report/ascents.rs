//! Tests of when ascents reach the optimum, and of their table.

use crate::by_hand::{assert_near, by_hand, summary_of, text};
use crate::traces::{comparison, course, point};
use gap_report::{main_results_text, summarize};
use gap_schema::results::ResultRows;
use gap_schema::summary::{AscentCell, CostToReachOptimum};
use gap_schema::{Record, Summary, TracePoint};
use gap_spec::Start;
use proptest::prelude::*;

fn summary_of_both(experiment: &str, records: &[Record], trace: &[TracePoint]) -> Summary {
    let rows = ResultRows {
        records: records.to_vec(),
        trace: trace.to_vec(),
        ..ResultRows::default()
    };
    summarize(experiment, &rows)
}

fn summary(trace: &[TracePoint]) -> Summary {
    summary_of_both("ascents", &[], trace)
}

fn only_ascent(trace: &[TracePoint]) -> AscentCell {
    let ascents = summary(trace).ascents;
    assert_eq!(ascents.len(), 1);
    ascents.into_iter().next().expect("there is one")
}

fn reached(nats_to_go: &[f64]) -> Option<CostToReachOptimum> {
    only_ascent(&course(0, Start::Prior, "default", nats_to_go)).reached
}

/// Returns the joint gradients at which an ascent reaches the optimum; its points are at 16, 32, 64, 128, …
/// gradients (see [`course`]).
fn reached_at(nats_to_go: &[f64]) -> f64 {
    reached(nats_to_go).expect("it arrives").joint_gradients
}

#[test]
fn the_crossing_of_a_power_law_is_exact() {
    // The distances 40 / gradients (2.5, 1.25, …) fall to 0.01 at 4000 gradients, between 2048 and 4096.
    let law: Vec<f64> = (0..12).map(|i| 40.0 / (16.0 * f64::from(1 << i))).collect();
    let crossing = reached(&law).unwrap();
    assert_near(crossing.joint_gradients, 4000.0, "gradients");
    assert_near(crossing.seconds, 4.0, "seconds");
}

#[test]
fn an_ascent_that_rises_again_has_not_reached_it_for_good() {
    // 0.01 is the geometric mean of 0.1 and 0.001, so the crossing is at the geometric mean of 64 and 128.
    let noisy = [1.0, 0.001, 0.1, 0.001, 0.009];
    assert_near(
        reached_at(&noisy),
        (64.0f64 * 128.0).sqrt(),
        "the second time",
    );
    assert_eq!(reached(&[1.0, 0.001, 0.02]), None, "it ends above");
}

#[test]
fn an_ascent_that_never_gets_there_says_so() {
    assert_eq!(reached(&[1.0, 0.5, 0.01]), None, "0.01 itself is not below");
    let cell = only_ascent(&course(0, Start::Prior, "default", &[1.0, 0.5, 0.25]));
    assert_eq!(
        (cell.end.joint_gradients, cell.end.nats_to_go),
        (64.0, 0.25)
    );
    assert_eq!((cell.end.unfinished, cell.end.above_tolerance), (2, 3));
    assert!(text(&summary(&course(0, Start::Prior, "a", &[1.0]))).contains(r#""reached":null"#));
}

#[test]
fn where_there_is_no_logarithm_the_later_point_counts() {
    assert_near(reached_at(&[0.001, 0.0001]), 16.0, "below from the start");
    assert_near(reached_at(&[1.0, -0.002]), 32.0, "negative");
    assert_near(reached_at(&[1.0, 0.0]), 32.0, "zero");
    assert_near(
        reached_at(&[1.0, f64::NAN, 0.001]),
        64.0,
        "NaN is not below",
    );
    assert_near(reached_at(&[f64::INFINITY, 0.001]), 32.0, "infinite");
    assert_eq!(
        reached(&[0.001, f64::NAN]),
        None,
        "nothing is known of its end"
    );
    let at_no_cost = [
        point(0, Start::Prior, "default", 0, 1.0),
        point(0, Start::Prior, "default", 8, 0.001),
    ];
    let crossing = only_ascent(&at_no_cost).reached.unwrap();
    assert_near(crossing.joint_gradients, 128.0, "no logarithm of no cost");
}

#[test]
fn points_that_are_not_finite_are_counted() {
    let mut trace = course(0, Start::Prior, "default", &[1.0, 0.5, 0.001]);
    trace[1].non_finite = 1;
    trace[2].non_finite = 4;
    assert_eq!(only_ascent(&trace).end.non_finite, 4);
    assert!(main_results_text(&summary(&trace)).contains("3/1/2/4"));
}

#[test]
fn time_ratios_are_paired_by_seed() {
    // The seconds of `default` double from seed to seed. Those of `half` are half as many in each seed, but it
    // does not reach the optimum in the last one.
    let mut trace = Vec::new();
    for (seed, factor) in [(0, 1.0), (1, 2.0), (2, 4.0)] {
        for (ascent, speed, end) in [("default", 1.0, 0.001), ("half", 0.5, 0.001)] {
            let end = if seed == 2 && ascent == "half" {
                0.5
            } else {
                end
            };
            let mut points = course(seed, Start::Prior, ascent, &[1.0, 0.1, end]);
            for point in &mut points {
                point.seconds *= factor * speed;
            }
            trace.extend(points);
        }
        // The baseline must not be the `default` from the other start.
        trace.extend(course(seed, Start::Encoder, "default", &[0.001]));
    }
    let table = main_results_text(&summary(&trace));
    let row = table.lines().find(|line| line.contains("half")).unwrap();
    assert!(row.contains("0.500, 2 of 3 seeds"), "{row}");
    assert!(
        row.contains("45.3 (45.3–never)"),
        "gradients are the same in both: {row}"
    );
    let mut rows = table.lines();
    let row = rows.find(|line| line.starts_with("prior    default"));
    let row = row.unwrap();
    assert!(row.contains("0.0905 (0.0453–0.181)"), "{row}");
}

#[test]
fn the_text_table_of_ascents_reads_well() {
    let mut trace = course(0, Start::Prior, "adam", &[2.0, 0.5, 0.1]);
    trace.extend(course(0, Start::Prior, "default", &[2.0, 0.1, 0.001]));
    trace.extend(course(1, Start::Prior, "adam", &[2.0, 0.5, 0.2]));
    trace.extend(course(1, Start::Prior, "default", &[2.0, 0.1, 0.003]));
    trace.extend(course(0, Start::Encoder, "default", &[0.5, 0.004]));
    insta::assert_snapshot!(main_results_text(&summary(&trace)), @r"
    start    ascent   joint gradients to 0.01 nats    seconds to 0.01 nats  time / default  nats to go at the end   worst  above 0.01/other/unfinished/non-fin
    ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    prior    default              47.9 (45.3–50.4)  0.0479 (0.0453–0.0504)            1.00        0.0020 ± 0.0010  0.0090                              6/2/4/0
    prior    adam                                –                       –               –          0.150 ± 0.050    0.60                              6/2/4/0
    encoder  default                          28.1                  0.0281            1.00      0.00400 ± 0.00040   0.012                              3/1/2/0
    Nats to go: mean distance per datapoint below the optimum that its ascent leads to, on draws that no ascent saw, whichever the start; ± is one standard error over seeds where a row has at least two of them, and over datapoints where it has one.
    To 0.01 nats: what it took until the mean distance stayed below that, median over seeds (least–most; – or never: it did not). Seconds are of all 200 points together, joint gradients are per point.
    time / default: seconds to 0.01 nats over those of `default` from the same start in the same seed; – where either did not get there.
    Counted at the end, over all seeds: points above 0.01 nats; points near another optimum, more than 0.05 nats worse than the best known; points that had not met the ascent's own stopping rule; non-finite points, which are in no mean.
    ");
}

#[test]
fn gaps_and_ascents_are_both_in_the_text() {
    let trace = course(0, Start::Prior, "default", &[0.001]);
    let both = main_results_text(&summary_of_both("both", &by_hand(), &trace));
    let gaps = main_results_text(&summary_of("gaps", &by_hand()));
    assert_eq!(both, gaps + "\n" + &main_results_text(&summary(&trace)));
}

proptest! {
    #[test]
    fn the_order_of_trace_points_has_no_effect(shuffled in Just(comparison()).prop_shuffle()) {
        prop_assert_eq!(text(&summary(&shuffled)), text(&summary(&comparison())));
    }
}
