//! Small runs that compare estimates with values that are known exactly.

#![cfg(feature = "compute")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use experiment::{Bench, edited, succeeds};
use gap_schema::{CalibrationRow, rows_file};
use gap_spec::{Estimator, Side};
use std::collections::BTreeMap;
use std::fs;

const CALIBRATION: &str = r#"name = "small-calibration"
question = "Are the errors right?"
surprise = "They are not."
seeds = [3]

[data]
name = "synthetic"
train_points = 4
measure_train = 2
measure_test = 2

[model]
kind = "linear-gaussian"
latent_dim = 3
observed_dim = 6

[estimators]
elbo_samples = 50
iw_samples = 100

[estimators.adaptive]
target_std_error_nats = 0.02
first_samples = 100
most_samples = 400

[estimators.annealed]
temperatures = 40
chains = 8

[calibration]
replicates = 150

[variants.well.model]
condition_number = 3.0

[variants.plain]
"#;

fn rows(bench: &Bench, out: &str) -> Vec<CalibrationRow> {
    rows_file::read_csv_rows(&bench.path(out).join("calibration.csv")).unwrap()
}

/// The rows without wall times.
fn untimed(mut rows: Vec<CalibrationRow>) -> Vec<CalibrationRow> {
    for row in &mut rows {
        row.seconds = 0.0;
    }
    rows
}

#[test]
fn every_estimator_is_held_to_what_is_known() {
    let bench = Bench::with(CALIBRATION);
    let (stdout, _) = succeeds(&mut bench.run("out", &[]));
    assert!(stdout.contains("report: out/report.html"));
    let summary = bench.json("out/summary.json");
    assert_eq!(summary["calibration"].as_array().unwrap().len(), 12);
    let page = fs::read_to_string(bench.path("out/report.html")).unwrap();
    assert!(page.contains("annealed-reverse"));
    let rows = rows(&bench, "out");
    let named = |variant: &str| {
        let own = rows
            .iter()
            .filter(|row| row.variant.as_deref() == Some(variant));
        own.map(|row| (row.estimator, row))
            .collect::<BTreeMap<_, _>>()
    };
    let (well, plain) = (named("well"), named("plain"));
    assert_eq!((well.len(), plain.len(), rows.len()), (6, 6, 12));
    for row in &rows {
        let name = format!("{:?} {}", row.variant, row.estimator);
        assert_eq!((row.seed, row.datapoint, row.latent_dim), (3, 0, 3));
        assert_eq!((row.n_replicates, row.non_finite), (150, 0), "{name}");
        assert!(
            (row.bias_nats - (row.mean_nats - row.exact_nats)).abs() < 1e-9,
            "{name}"
        );
        assert!(row.spread_nats > 0.0 && row.std_error_nats > 0.0, "{name}");
        assert!(row.seconds > 0.0 && row.joint_evaluations > 0.0, "{name}");
        // Lower bounds are below `log p(x)`, and upper bounds above; the Pareto-smoothed estimate is neither.
        let slack = 4.0 * row.bias_std_error_nats;
        match row.side {
            Side::Lower => assert!(row.bias_nats < slack, "{name}: {}", row.bias_nats),
            Side::Upper => assert!(row.bias_nats > -slack, "{name}: {}", row.bias_nats),
            _ => assert_eq!(row.estimator, Estimator::ParetoSmoothed),
        }
    }
    for (estimator, row) in &well {
        // With 150 replicates a coverage of 0.95 has a standard error of 0.018, and with few draws the reported
        // standard errors are too small.
        assert!(row.coverage > 0.83, "{estimator}: {}", row.coverage);
        let ratio = row.std_error_nats / row.spread_nats;
        assert!((0.7..1.3).contains(&ratio), "{estimator}: {ratio}");
        let annealed = [Estimator::Annealed, Estimator::AnnealedReverse].contains(estimator);
        assert_eq!(row.n_temperatures, annealed.then_some(40));
        assert_eq!(row.target_nats.is_some(), *estimator == Estimator::Elbo);
    }
    let elbo = well[&Estimator::Elbo];
    let off = (elbo.mean_nats - elbo.target_nats.unwrap()).abs();
    assert!(off < 4.0 * elbo.bias_std_error_nats, "{off}");
    assert!(well[&Estimator::Annealed].bias_nats > elbo.bias_nats);
    assert!(well[&Estimator::AdaptiveImportanceWeighted].n_samples >= 100.0);
    assert_ne!(
        well[&Estimator::Elbo].exact_nats,
        plain[&Estimator::Elbo].exact_nats
    );
}

#[test]
fn a_calibration_is_kept_and_no_number_depends_on_jobs_or_batches() {
    let bench = Bench::with(CALIBRATION);
    succeeds(&mut bench.run("out", &["--jobs", "1"]));
    let first = rows(&bench, "out");
    let arguments = ["--jobs", "2", "--set", "evaluation.batch_size=7"];
    succeeds(&mut bench.run("again", &arguments));
    assert_eq!(untimed(rows(&bench, "again")), untimed(first.clone()));

    // A deleted file is written again from the finished stages.
    fs::remove_file(bench.path("out/calibration.csv")).unwrap();
    let (_, stderr) = succeeds(&mut bench.run("out", &[]));
    assert_eq!(
        stderr,
        "out/calibration.csv: it is not there; the results are published again\n"
    );
    assert_eq!(rows(&bench, "out"), first);

    // Another number of chains changes only the stages that anneal.
    let more = ["--set", "estimators.annealed.chains=4"];
    let (_, stderr) = succeeds(&mut bench.run("out", &more));
    let (stages, earlier): (Vec<&str>, Vec<&str>) =
        stderr.lines().partition(|line| line.starts_with('['));
    assert!(
        stages.iter().all(|line| line.contains("anneal")) && stderr.contains("calibrate"),
        "{stderr}"
    );
    assert!(earlier.len() == 1 && earlier[0].starts_with("earlier results are kept in"));
    let (_, stderr) = succeeds(&mut bench.amortgap(&["report", "out"]));
    assert_eq!(stderr, "");
}

#[test]
fn a_run_without_a_calibration_leaves_no_rows_of_an_earlier_one() {
    let bench = Bench::with(CALIBRATION);
    succeeds(&mut bench.run("out", &[]));
    let ascents = "[ascents.default]\nprotocol = \"default\"\n";
    let without = edited(CALIBRATION, "[calibration]\nreplicates = 150\n", ascents);
    fs::write(bench.path("spec.toml"), without).unwrap();
    succeeds(&mut bench.run("out", &[]));
    assert!(!bench.path("out/calibration.csv").exists());
}
