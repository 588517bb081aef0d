//! A small run on the model with closed forms, and the math-library switch.

#![cfg(feature = "compute")]

mod experiment;

use approx::assert_abs_diff_eq;
use experiment::{Bench, cells, number, succeeds};
use serde_json::{Value, json};

const LINEAR_GAUSSIAN: &str = r#"name = "small-linear-gaussian"
question = "Are the numbers right?"
surprise = "They are not."
seeds = [0, 1]

[data]
name = "synthetic"
train_points = 500
measure_train = 60
measure_test = 60

[model]
kind = "linear-gaussian"
latent_dim = 3
observed_dim = 8
noise_std = 1.0

[[encoders]]
kind = "linear"

[[encoders]]
kind = "mlp"
hidden = [4]

[encoder_training]
steps = 300
batch_size = 50
learning_rate = 0.03
n_samples = 2

[refinement]
steps = [1, 5]

[estimators]
elbo_samples = 500
iw_samples = 1000
"#;

#[test]
fn every_estimate_agrees_with_its_closed_form() {
    let bench = Bench::with(LINEAR_GAUSSIAN);
    let summary = bench.summary_of_run("out", &[]);
    assert_eq!(cells(&summary).len(), 8);
    for cell in cells(&summary) {
        let name = &cell["cell"];
        let mean = |key: &str| number(cell, &format!("{key}/mean_nats"));
        let error = |key: &str| number(cell, &format!("{key}/std_error_nats"));
        // The bias of a bound from K draws is Var(w) / 2K. With gaps of about 0.1 nats, Var(w) is about 0.2 and
        // the bias 1e-4; 0.002 allows for this and for rounding in f32.
        assert!(
            mean("/oracle/log_evidence_error").abs()
                < 4.0 * error("/oracle/log_evidence_error") + 0.002,
            "{name}: {:#}",
            cell["oracle"]
        );
        assert!(
            mean("/oracle/elbo_error").abs() < 4.0 * error("/oracle/elbo_error") + 0.002,
            "{name}: {:#}",
            cell["oracle"]
        );
        // The default tolerance is 0.01 nats, and only rounding can put a `q` above the optimum.
        let shortfall = mean("/oracle/free_form_shortfall");
        assert!((-1e-4..0.01).contains(&shortfall), "{name}: {shortfall}");
        assert_eq!(cell["unconverged"], json!(0), "{name}");
        // The estimated gap agrees with that of the closed forms.
        assert!(
            (mean("/amortization_gap") - mean("/oracle/amortization_gap")).abs()
                < 4.0 * number(cell, "/amortization_gap/mc_std_error_nats") + 0.002,
            "{name}"
        );
        assert_eq!(cell["log_evidence"]["side"], json!("exact"), "{name}");
        assert_eq!(
            cell["log_evidence"]["mean_nats"],
            cell["oracle"]["log_evidence"]["mean_nats"]
        );
        assert_abs_diff_eq!(
            mean("/inference_gap"),
            mean("/approximation_gap") + mean("/amortization_gap"),
            epsilon = 1e-9
        );
    }
    assert_eq!(
        bench.json("out/provenance.json")["data_digest"],
        Value::Null,
        "the model determines the data"
    );
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn the_math_switch_changes_speed_and_provenance_but_no_conclusion() {
    let bench = Bench::with(LINEAR_GAUSSIAN);
    let switched = bench.summary_of_run("out", &[]);
    let able = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let path = if able { "switched" } else { "stock" };
    assert_eq!(bench.json("out/provenance.json")["math"], json!(path));

    let mut run = bench.run("out", &[]);
    let (_, stderr) = succeeds(run.env("AMORTGAP_MATH_SWITCH", "off"));
    assert_eq!(bench.json("out/provenance.json")["math"], json!("stock"));
    if able {
        // The stages that were computed with the switch on are not reused.
        let stages = stderr.lines().filter(|line| line.starts_with('['));
        assert_eq!(stages.count(), 18, "{stderr}");
    }
    let stock = experiment::summary(&bench.path("out"));
    assert_eq!(cells(&stock).len(), cells(&switched).len());
    for (a, b) in cells(&switched).iter().zip(cells(&stock)) {
        assert_eq!(a["cell"], b["cell"]);
        let differs = |key: &str| {
            let key = format!("{key}/mean_nats");
            (number(a, &key) - number(b, &key)).abs()
        };
        // Model, data and draws are equal up to rounding: f32 has 7 digits, and values are about 15 nats.
        assert!(
            differs("/log_evidence") < 1e-3,
            "{}",
            differs("/log_evidence")
        );
        // Rounding errors of early steps vanish as an ascent converges. The two may stop a block of steps
        // apart, each within the tolerance of 0.01 nats.
        assert!(
            differs("/elbo_free_form") < 0.012,
            "{}",
            differs("/elbo_free_form")
        );
        // A long fit of an encoder amplifies rounding errors, so the amortized `q`s are not compared.
    }
}
