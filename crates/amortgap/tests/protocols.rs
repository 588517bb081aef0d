//! Ways to find `q*` and to refine, and likelihoods, that the small experiment does not use.

#![cfg(feature = "compute")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use experiment::{Bench, DIGITS, cells, edited, number};
use serde_json::{Value, json};
use std::f64::consts::TAU;
use std::fs;

/// The small experiment with one seed and few points; `free_form` is the content of `[free_form]`.
fn few_points(free_form: &str) -> String {
    let start = DIGITS.find("[free_form]").unwrap();
    let end = DIGITS.find("[refinement]").unwrap();
    DIGITS
        .replace(&DIGITS[start..end], free_form)
        .replace("measure_train = 40", "measure_train = 10")
        .replace("measure_test = 40", "measure_test = 10")
        .replace("seeds = [0, 1]", "seeds = [0]")
}

fn mean(cell: &Value, key: &str) -> f64 {
    number(cell, &format!("{key}/mean_nats"))
}

#[test]
fn the_published_protocol_takes_its_steps_from_the_prior_and_is_certified() {
    let bench = Bench::with(&few_points(""));
    let default = bench.summary_of_run("default", &[]);
    let published = bench.summary_of_run(
        "published",
        &[
            "--set",
            "free_form.protocol=adam-cremer-2018",
            "--set",
            "free_form.max_steps=300",
        ],
    );
    let spec = fs::read_to_string(bench.path("published/spec.toml")).unwrap();
    assert!(spec.contains("starts = [\"prior\"]"), "{spec}");
    assert_eq!(cells(&published).len(), 4);
    for (published, default) in cells(&published).iter().zip(cells(&default)) {
        let name = &published["cell"];
        assert_eq!(name, &default["cell"]);
        assert_eq!(default["unconverged"], json!(0), "{name}");
        // 300 steps of at most about 1e-3 do not get far from the prior.
        assert_eq!(published["unconverged"], json!(10), "{name}");
        assert!(number(published, "/max_remaining_bound_nats") > 0.1);
        assert!(number(default, "/max_remaining_bound_nats") < 0.01);
        assert!(
            mean(published, "/elbo_free_form") < mean(default, "/elbo_free_form") - 0.1,
            "{name}"
        );
        // 300 steps with 50 draws each, and the draws of the certificate.
        let gradients = number(published, "/cost/free_form/joint_gradients");
        assert!((15_000.0..17_000.0).contains(&gradients), "{gradients}");
        // One start cannot tell whether there are several optima; two can.
        assert!(published.get("amortization_gap_same_optimum").is_none());
        assert_eq!(published["different_optima"], json!(0));
        assert!(default.get("amortization_gap_same_optimum").is_some());
    }
}

#[test]
fn a_gaussian_decoder_is_measured_on_grey_pixels() {
    let grey = few_points("")
        .replace("\"digits-binarized\"", "\"digits\"")
        .replace(
            "likelihood = \"bernoulli\"",
            "likelihood = \"gaussian\"\nnoise_std = 0.25",
        );
    let bench = Bench::with(&grey);
    let summary = bench.summary_of_run("out", &[]);
    // The largest density of 64 pixels is that of an image that is predicted without error.
    let highest = |std: f64| -32.0 * (TAU * std.powi(2)).ln();
    for cell in cells(&summary) {
        let name = &cell["cell"];
        let evidence = mean(cell, "/log_evidence");
        assert!(evidence < highest(0.25), "{name}: {evidence}");
        assert!(evidence > highest(1.0), "the noise is as said: {evidence}");
        assert_eq!(cell["non_finite"], json!(0), "{name}");
        assert_eq!(cell["unconverged"], json!(0), "{name}");
        assert!(mean(cell, "/amortization_gap") > 0.0, "{name}");
        assert!(mean(cell, "/approximation_gap") > -0.1, "{name}");
    }
    // The noise is part of the model.
    let wider = bench.summary_of_run("wider", &["--set", "model.noise_std=0.5"]);
    let pairs = cells(&summary).iter().zip(cells(&wider));
    for (narrow, wide) in pairs {
        assert!(mean(wide, "/log_evidence") < mean(narrow, "/log_evidence"));
    }
}

#[test]
fn adam_refines_by_its_own_learning_rate() {
    let bench = Bench::with(&edited(
        &few_points(""),
        "steps = [1, 5]",
        "steps = [1, 30]",
    ));
    let of_rate = |rate: &str| {
        let rate = format!("refinement.learning_rate={rate}");
        let overrides = ["--set", "refinement.rule=adam", "--set", &rate];
        bench.summary_of_run("out", &overrides)
    };
    let (small, large) = (of_rate("1e-5"), of_rate("0.03"));
    for (small, large) in cells(&small).iter().zip(cells(&large)) {
        // Tiny steps leave the gap as it was; larger ones close part of it.
        let gap = mean(small, "/amortization_gap");
        assert!((mean(small, "/refined_gap") - gap).abs() < 0.02 * gap);
        assert!(mean(large, "/refined_gap") < 0.9 * gap, "{large:#}");
        // The start and the `q` after each number of steps are compared on four sets of 32 draws.
        let gradients = 30.0 * 32.0 + 3.0 * 4.0 * 32.0;
        assert_eq!(number(large, "/cost/refined/joint_gradients"), gradients);
    }
}
