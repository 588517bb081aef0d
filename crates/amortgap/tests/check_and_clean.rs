//! Tests of the commands `check` and `clean`.

#![cfg(feature = "compute")]

mod experiment;

use experiment::{Bench, DIGITS, edited, refusal, succeeds, summary, texts};
use serde_json::json;
use std::fs;

fn one_seed() -> Bench {
    Bench::with(&edited(DIGITS, "seeds = [0, 1]", "seeds = [0]"))
}

#[test]
fn a_check_says_what_is_whole_what_is_not_there_and_what_is_damaged() {
    let bench = one_seed();
    succeeds(&mut bench.run("out", &[]));
    let numbers = bench.json("out/provenance.json")["numbers"].clone();
    let (stdout, stderr) = succeeds(&mut bench.amortgap(&["check", "out"]));
    assert_eq!(stderr, "");
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "out: 9 of 9 files are as published",
            "out: 9 of 9 stages are as written",
            &format!("out: numbers {}", numbers.as_str().unwrap()),
            "out: this program makes the same numbers again on this machine",
        ]
    );

    // Records and stages are large, and often not kept.
    fs::remove_file(bench.path("out/records.parquet")).unwrap();
    fs::remove_dir_all(bench.path("out/.stages")).unwrap();
    let (stdout, _) = succeeds(&mut bench.amortgap(&["check", "out"]));
    for line in [
        "out: 8 of 9 files are as published",
        "  out/records.parquet: it is not there",
        "out: records.parquet is not here, so that no report can be made; `amortgap run` makes it",
        "out: no stages are here, so that a run would execute them all",
    ] {
        assert!(stdout.lines().any(|found| found == line), "{stdout}");
    }

    fs::write(bench.path("out/costs.json"), "[]").unwrap();
    let output = bench.amortgap(&["check", "out"]).output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout.contains("  out/costs.json: it is damaged: 2 bytes instead of "),
        "{stdout}"
    );
    assert!(
        stderr.starts_with("error: 1 damaged files or stages"),
        "{stderr}"
    );
    assert!(refusal(&mut bench.amortgap(&["check", "."])).contains("there are no results here"));
}

#[test]
fn a_check_names_the_program_that_makes_the_numbers_again() {
    let bench = one_seed();
    succeeds(bench.run("out", &[]).env("AMORTGAP_SIMD", "off"));
    assert_eq!(bench.json("out/provenance.json")["kernels"], json!("off"));
    let (stdout, _) = succeeds(
        bench
            .amortgap(&["check", "out"])
            .env("AMORTGAP_SIMD", "off"),
    );
    assert!(
        stdout.contains("this program makes the same numbers again"),
        "{stdout}"
    );
    let (stdout, _) = succeeds(&mut bench.amortgap(&["check", "out"]));
    let has_kernels = !stdout.contains("this program makes the same numbers again");
    if !has_kernels {
        println!("skipped: there are no kernels for this processor");
        return;
    }
    assert!(stdout.contains("with kernels off (here "), "{stdout}");
    // None of these stages is needed by a program that uses the kernels.
    assert!(refusal(&mut bench.amortgap(&["clean", "out"])).contains("pass --other-programs"));
    let (stdout, _) = succeeds(&mut bench.amortgap(&["clean", "out", "--other-programs"]));
    assert!(stdout.starts_with("out: 9 stages removed, "), "{stdout}");
}

#[test]
fn cleaning_removes_the_stages_of_other_settings_and_no_other() {
    let bench = one_seed();
    succeeds(&mut bench.run("out", &[]));
    succeeds(&mut bench.run("out", &["--set", "estimators.iw_samples=50"]));
    let before = summary(&bench.path("out"));
    // The model and the two encoders serve both settings; six measurements do not.
    let (stdout, _) = succeeds(&mut bench.amortgap(&["clean", "out"]));
    assert!(stdout.starts_with("out: 6 stages removed, "), "{stdout}");
    assert!(stdout.ends_with("; 9 are kept\n"), "{stdout}");
    let (stdout, _) = succeeds(&mut bench.amortgap(&["clean", "out"]));
    assert!(stdout.starts_with("out: 0 stages removed, "), "{stdout}");
    fs::remove_file(bench.path("out/summary.json")).unwrap();
    let again = ["--set", "estimators.iw_samples=50"];
    let (_, stderr) = succeeds(&mut bench.run("out", &again));
    assert!(!stderr.contains('['), "no stage is executed: {stderr}");
    assert_eq!(summary(&bench.path("out")), before);
}

#[test]
fn cleaning_does_not_believe_a_damaged_spec() {
    let bench = one_seed();
    succeeds(&mut bench.run("out", &[]));
    let spec = bench.path("out/spec.toml");
    let text = fs::read_to_string(&spec).unwrap();
    fs::write(&spec, edited(&text, "seeds = [0]", "seeds = [5]")).unwrap();
    let message = refusal(&mut bench.amortgap(&["clean", "out"]));
    assert_eq!(
        message,
        "out/spec.toml: it is damaged: its digest differs; run the experiment again, which publishes its results anew"
    );
    let (_, stderr) = succeeds(&mut bench.run("out", &[]));
    assert!(
        !stderr.contains('['),
        "every stage is still there: {stderr}"
    );
    let (stdout, _) = succeeds(&mut bench.amortgap(&["clean", "out"]));
    assert!(stdout.starts_with("out: 0 stages removed, "), "{stdout}");
}

#[test]
fn a_check_finds_what_no_manifest_names() {
    let bench = one_seed();
    succeeds(&mut bench.run("out", &[]));
    fs::write(bench.path("out/notes.txt"), "mine").unwrap();
    fs::write(bench.path("out/figures/mine.svg"), "mine").unwrap();
    let (stdout, _) = succeeds(&mut bench.amortgap(&["check", "out"]));
    for name in ["notes.txt", "figures/mine.svg"] {
        let line = format!("  out/{name}: it is not among the published files");
        assert!(stdout.lines().any(|found| found == line), "{stdout}");
    }
    // No report is made while there is an `ascents.csv` that nobody published, and a check says so.
    fs::write(bench.path("out/ascents.csv"), "a,b\n1,2\n").unwrap();
    let output = bench.amortgap(&["check", "out"]).output().unwrap();
    let (stdout, _) = texts(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout.contains("  out/ascents.csv: it is not among the published files, and no report is made while it is there; remove it\n"),
        "{stdout}"
    );
    assert!(refusal(&mut bench.amortgap(&["report", "out"])).contains("out/ascents.csv: "));
    fs::remove_file(bench.path("out/ascents.csv")).unwrap();

    fs::write(bench.path("out/.stages/experiment"), "").unwrap();
    let output = bench.amortgap(&["check", "out"]).output().unwrap();
    let (stdout, _) = texts(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout.contains("  out/.stages/experiment: it cannot be read: it is damaged: "),
        "{stdout}"
    );
}
