//! The commands around `run`: plans, status, data sets, reports and completions.

#![cfg(feature = "compute")]

mod experiment;

use experiment::{Bench, DIGITS, cells, edited, number, succeeds, summary, texts};
use serde_json::{Value, json};
use std::fs;

/// The small experiment with one seed.
fn one_seed() -> Bench {
    Bench::with(&edited(DIGITS, "seeds = [0, 1]", "seeds = [0]"))
}

#[test]
fn a_plan_lists_every_stage_after_those_that_it_depends_on() {
    let bench = one_seed();
    let (stdout, stderr) = succeeds(&mut bench.amortgap(&["plan", "spec.toml"]));
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines[0], "small-digits: 9 stages");
    assert_eq!(lines.len(), 10);
    assert!(lines[1].starts_with("model-") && lines[1].ends_with(" seed 0: model"));
    assert_eq!(stderr, "");

    let (text, _) = succeeds(&mut bench.amortgap(&["plan", "spec.toml", "--json"]));
    let plan: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(plan["experiment"], json!("small-digits"));
    let stages = plan["stages"].as_array().unwrap();
    let mut before: Vec<&Value> = Vec::new();
    for (stage, line) in stages.iter().zip(&lines[1..]) {
        let title = stage["title"].as_str().unwrap();
        assert!(line.starts_with(stage["id"].as_str().unwrap()) && line.ends_with(title));
        let after = stage["after"].as_array().unwrap();
        assert!(after.iter().all(|id| before.contains(&id)), "{title}");
        before.push(&stage["id"]);
    }
    assert_eq!(before.len(), 9);
}

#[test]
fn a_plan_names_the_stages_that_a_run_leaves() {
    let bench = one_seed();
    succeeds(&mut bench.run("out", &[]));
    let (text, _) = succeeds(&mut bench.amortgap(&["plan", "spec.toml", "--json"]));
    let plan: Value = serde_json::from_str(&text).unwrap();
    for stage in plan["stages"].as_array().unwrap() {
        let id = stage["id"].as_str().unwrap();
        assert!(bench.path("out/.stages").join(id).is_dir(), "{id}");
    }
    assert_eq!(plan["plan"], bench.json("out/provenance.json")["plan"]);
    assert_eq!(
        bench.status("out"),
        "small-digits: 9 stages finished, 0 begun and not finished, results are published\n"
    );
}

#[test]
fn a_report_can_be_written_elsewhere_and_in_other_formats() {
    let bench = one_seed();
    let (ran, _) = succeeds(&mut bench.run("out", &[]));
    let before = bench.json("out/summary.json");
    let arguments = ["report", "out", "--format", "md,csv,tex", "--out", "tables"];
    let (reported, _) = succeeds(&mut bench.amortgap(&arguments));
    assert!(ran.starts_with(reported.trim_end()), "it is the same table");
    let text = |name: &str| fs::read_to_string(bench.path(name)).unwrap();
    let rows = |text: &str| text.lines().filter(|line| line.contains("mlp")).count();
    assert!(text("tables/summary.md").contains("| --"));
    assert!(text("tables/summary.tex").contains("\\begin{tab"));
    assert_eq!(rows(&text("tables/summary.csv")), 2, "one for each split");
    let mut names: Vec<String> = fs::read_dir(bench.path("tables"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "provenance.json",
            "summary.csv",
            "summary.md",
            "summary.tex"
        ]
    );

    // Without --out the report goes into the results folder, and has the same content.
    fs::remove_file(bench.path("out/summary.json")).unwrap();
    fs::remove_dir_all(bench.path("out/figures")).unwrap();
    succeeds(&mut bench.amortgap(&["report", "out"]));
    assert_eq!(
        bench.json("out/summary.json"),
        before,
        "wall times included"
    );
    assert!(
        bench
            .path("out/figures/amortization-gap-by-encoder.svg")
            .is_file()
    );
    assert_eq!(cells(&summary(&bench.path("out"))).len(), 4);
    assert!(number(&before, "/cells/0/cost/free_form/seconds") > 0.0);
}

#[test]
fn data_sets_are_listed_and_checked() {
    let bench = Bench::with(DIGITS);
    let (list, _) = succeeds(&mut bench.amortgap(&["data", "list"]));
    let names: Vec<&str> = list
        .lines()
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "digits",
            "digits-binarized",
            "mnist",
            "mnist-binarized",
            "synthetic"
        ]
    );
    for name in ["digits", "digits-binarized"] {
        let (checked, _) = succeeds(&mut bench.amortgap(&["data", "check", name]));
        assert!(
            checked.starts_with("ok    digits.csv sha256 6ebb3d2f"),
            "{checked}"
        );
    }
}

#[test]
fn completions_name_every_command() {
    let bench = Bench::with(DIGITS);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (script, _) = succeeds(&mut bench.amortgap(&["completions", shell]));
        for command in [
            "run",
            "report",
            "plan",
            "status",
            "bench",
            "data",
            "completions",
        ] {
            assert!(script.contains(command), "{command} for {shell}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_error_of_ours() {
    let bench = Bench::with(DIGITS);
    for arguments in [
        &["plan", "spec.toml"][..],
        &["data", "list"],
        &["completions", "bash"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = bench.amortgap(arguments);
        let output = command.stdout(writer).stderr(std::process::Stdio::piped());
        let output = output.spawn().unwrap().wait_with_output().unwrap();
        assert_eq!(texts(&output).1, "", "{arguments:?}");
        assert!(!output.status.success(), "{arguments:?}");
    }
}
