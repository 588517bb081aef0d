//! Small runs that estimate `log p(x)` by annealing: lower bounds on the data, lower and upper bounds on points
//! that are drawn from the model.

#![cfg(feature = "compute")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use experiment::{Bench, DIGITS, edited, succeeds};
use gap_schema::{Record, parquet};
use gap_spec::{Estimator, Method, Side, Split};
use std::collections::BTreeMap;

/// The annealing settings of a small run.
const ANNEALED: &str = "
[estimators.annealed]
temperatures = 30
chains = 8
leapfrog_steps = 5
simulated_points = 12
";

/// The small experiment with one seed, few points and these annealing settings.
fn digits(annealed: &str) -> String {
    let few = edited(DIGITS, "seeds = [0, 1]", "seeds = [5]")
        .replace("measure_train = 40", "measure_train = 3")
        .replace("measure_test = 40", "measure_test = 55");
    format!("{few}{annealed}")
}

fn records(bench: &Bench, out: &str) -> Vec<Record> {
    parquet::read_records(&bench.path(out).join("records.parquet")).unwrap()
}

/// The records of the model itself for one estimator and split, by datapoint.
fn of_model(records: &[Record], split: Split, estimator: Estimator) -> BTreeMap<u64, &Record> {
    let own = records.iter().filter(|record| {
        record.method == Method::Model && record.split == split && record.estimator == estimator
    });
    own.map(|record| (record.datapoint, record)).collect()
}

/// The records of `q*` for one estimator and split, by datapoint.
fn of_q_star(records: &[Record], split: Split, estimator: Estimator) -> BTreeMap<u64, &Record> {
    let own = records.iter().filter(|record| {
        record.method == Method::FreeForm && record.split == split && record.estimator == estimator
    });
    own.map(|record| (record.datapoint, record)).collect()
}

/// What a record says of its estimate, without wall times.
fn numbers(record: &Record) -> (u64, u64, [u64; 4]) {
    let bits = |value: Option<f64>| value.unwrap_or(f64::NAN).to_bits();
    let said = &record.diagnostics;
    let values = [
        record.value_nats.to_bits(),
        record.std_error_nats.to_bits(),
        bits(said.acceptance),
        bits(said.step_size),
    ];
    (record.datapoint, said.joint_evaluations, values)
}

#[test]
fn annealing_gives_a_bound_of_each_point_and_both_bounds_of_simulated_ones() {
    let bench = Bench::with(&digits(ANNEALED));
    succeeds(&mut bench.run("out", &[]));
    let records = records(&bench, "out");
    for (split, n) in [(Split::Train, 3), (Split::Test, 55), (Split::Simulated, 12)] {
        let annealed = of_model(&records, split, Estimator::Annealed);
        assert_eq!(annealed.len(), n, "{split}");
        let weighted = of_q_star(&records, split, Estimator::ImportanceWeighted);
        assert_eq!(weighted.len(), n, "{split}");
        let mut apart = 0.0;
        for (datapoint, record) in annealed {
            assert_eq!(record.side, Side::Lower);
            assert_eq!(record.n_samples, 8, "chains");
            assert!(record.encoder.is_none() && record.start.is_none());
            let said = &record.diagnostics;
            assert_eq!(said.n_temperatures, Some(30));
            assert!(said.acceptance.unwrap() > 0.4 && said.step_size.unwrap() > 0.0);
            assert!(said.seconds > 0.0 && said.joint_evaluations > 0);
            assert!(record.std_error_nats > 0.0);
            apart += record.value_nats - weighted[&datapoint].value_nats;
        }
        // Both are lower bounds of `log p(x)`; the one from 200 draws is looser by about a tenth of a nat.
        let apart = apart / n as f64;
        assert!((-0.05..0.3).contains(&apart), "{split}: {apart}");
    }
    let below = of_model(&records, Split::Simulated, Estimator::Annealed);
    let above = of_model(&records, Split::Simulated, Estimator::AnnealedReverse);
    assert_eq!(below.len(), above.len());
    let (mut width, mut variance) = (0.0, 0.0);
    for (datapoint, upper) in &above {
        let lower = below[datapoint];
        assert_eq!(upper.side, Side::Upper);
        width += upper.value_nats - lower.value_nats;
        variance += upper.std_error_nats.powi(2) + lower.std_error_nats.powi(2);
    }
    let n = above.len() as f64;
    let (width, std_error) = (width / n, variance.sqrt() / n);
    assert!(
        (-3.0 * std_error..0.5).contains(&width),
        "the sandwich is {width} nats wide"
    );
}

#[test]
fn no_annealed_number_depends_on_batches_or_jobs() {
    let bench = Bench::with(&digits(ANNEALED));
    let of_run = |out: &str, arguments: &[&str]| {
        succeeds(&mut bench.run(out, arguments));
        let mut numbers: Vec<_> = records(&bench, out)
            .iter()
            .filter(|record| record.method == Method::Model)
            .map(|record| (record.split, record.estimator, numbers(record)))
            .collect();
        numbers.sort_unstable();
        numbers
    };
    let all = of_run("all", &["--jobs", "1"]);
    assert_eq!(all.len(), 3 + 55 + 2 * 12);
    assert_eq!(of_run("jobs", &["--jobs", "2"]), all);
    assert_eq!(of_run("seven", &["--set", "evaluation.batch_size=7"]), all);
}

#[test]
fn a_path_may_begin_at_the_encoder_or_at_the_prior() {
    let mut ends = Vec::new();
    for start in ["free-form", "encoder", "prior"] {
        let bench = Bench::with(&digits(&format!("{ANNEALED}start = \"{start}\"\n")));
        succeeds(&mut bench.run("out", &[]));
        let records = records(&bench, "out");
        let annealed = of_model(&records, Split::Test, Estimator::Annealed);
        let mean = annealed.values().map(|r| r.value_nats).sum::<f64>() / annealed.len() as f64;
        ends.push(mean);
    }
    // All three are bounds of the same number; the paths from the prior give the loosest.
    assert!((ends[0] - ends[1]).abs() < 0.1, "{ends:?}");
    assert!(ends[2] < ends[0] && ends[0] - ends[2] < 1.0, "{ends:?}");
}
