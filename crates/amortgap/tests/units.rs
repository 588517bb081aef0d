//! Gaps do not depend on the units of the data, and inputs that say nothing are counted.

#![cfg(feature = "compute")]

mod experiment;

use experiment::{Bench, cells, number};

/// A linear-Gaussian model whose observations are in units of the noise.
const LINEAR_GAUSSIAN: &str = r#"name = "units"
question = "Do units matter?"
surprise = "They do."
seeds = [0]

[data]
name = "synthetic"
train_points = 200
measure_train = 20
measure_test = 50

[model]
kind = "linear-gaussian"
latent_dim = 4
observed_dim = 8
condition_number = 3
noise_std = 1.0

[[encoders]]
kind = "linear"

[encoder_training]
steps = 1000
batch_size = 50
learning_rate = 0.01
n_samples = 1

[free_form]

[refinement]
steps = [1]
"#;

#[test]
fn the_same_problem_in_other_units_has_the_same_gaps() {
    let bench = Bench::with(LINEAR_GAUSSIAN);
    let gaps = |noise_std: &str| -> Vec<f64> {
        let set = format!("model.noise_std={noise_std}");
        let summary = bench.summary_of_run(noise_std, &["--set", &set]);
        let gap = |cell| number(cell, "/oracle/amortization_gap/mean_nats");
        cells(&summary).iter().map(gap).collect()
    };
    let usual = gaps("1.0");
    for noise_std in ["0.001", "1000.0"] {
        for (gap, usual) in gaps(noise_std).iter().zip(&usual) {
            assert!(
                (gap / usual - 1.0).abs() < 0.01,
                "{noise_std}: {gap}, {usual}"
            );
        }
    }
}

#[test]
fn raw_inputs_are_what_they_are_called() {
    let bench = Bench::with(LINEAR_GAUSSIAN);
    let gap = |out: &str, set: &[&str]| {
        let summary = bench.summary_of_run(out, set);
        number(&cells(&summary)[0], "/amortization_gap/mean_nats")
    };
    // In units in which the observations are tiny, a fit with this learning rate hardly moves.
    let tiny = ["--set", "model.noise_std=0.001"];
    let raw = gap(
        "raw",
        &[&tiny[..], &["--set", "encoders.0.inputs=raw"]].concat(),
    );
    assert!(raw > 100.0 * gap("standardized", &tiny), "{raw}");
}

#[test]
fn inputs_that_are_constant_are_counted_and_not_magnified() {
    let bench = Bench::with(LINEAR_GAUSSIAN);
    let one_point = [
        "--set",
        "data.train_points=1",
        "--set",
        "data.measure_train=1",
        "--set",
        "encoders.0.kind=mlp",
        "--set",
        "encoders.0.hidden=[16]",
        "--set",
        "encoders.0.activation=relu",
    ];
    let summary = bench.summary_of_run("out", &one_point);
    for cell in cells(&summary) {
        assert_eq!(cell["constant_inputs"], 8);
        assert!(number(cell, "/amortization_gap/mean_nats") < 100.0);
    }
    let page = std::fs::read_to_string(bench.path("out/report.html"));
    let page = page.expect("the run wrote it");
    assert!(page.contains("8 inputs of an encoder are the same at all training points"));
}
