//! The fused kernels can be turned off: this changes speed and provenance, but no conclusion.

#![cfg(feature = "compute")]

mod experiment;

use experiment::{Bench, DIGITS, cells, edited, number, refusal, succeeds, summary};
use serde_json::json;

#[test]
fn turned_off_they_leave_the_same_gaps() {
    let spec = edited(DIGITS, "seeds = [0, 1]", "seeds = [0]");
    let bench = Bench::with(&spec);
    let fused = bench.summary_of_run("out", &[]);
    let path = bench.json("out/provenance.json")["kernels"].clone();
    let (_, stderr) = succeeds(bench.run("out", &[]).env("AMORTGAP_SIMD", "off"));
    assert_eq!(bench.json("out/provenance.json")["kernels"], json!("off"));
    if path != "off" {
        // The stages that the kernels computed are not reused.
        let stages = stderr.lines().filter(|line| line.starts_with('['));
        assert_eq!(stages.count(), 9, "{stderr}");
    }
    let plain = summary(&bench.path("out"));
    assert_eq!(cells(&plain).len(), cells(&fused).len());
    for (a, b) in cells(&fused).iter().zip(cells(&plain)) {
        assert_eq!(a["cell"], b["cell"]);
        // Decoder, data and draws are equal up to rounding, and the search tolerance of `q*` is 0.02 nats.
        let key = "/elbo_free_form/mean_nats";
        let apart = (number(a, key) - number(b, key)).abs();
        assert!(apart < 0.02, "{apart} nats apart");
    }
}

#[test]
fn a_path_that_is_not_there_is_refused() {
    let bench = Bench::with(DIGITS);
    for command in [
        &["run", "spec.toml", "--out", "out"][..],
        &["plan", "spec.toml"],
    ] {
        let mut command = bench.amortgap(command);
        assert_eq!(
            refusal(command.env("AMORTGAP_SIMD", "sse9")),
            "AMORTGAP_SIMD is `sse9`; set it to avx512, avx2 or off, or unset it"
        );
    }
    assert!(!bench.path("out").exists());
}
