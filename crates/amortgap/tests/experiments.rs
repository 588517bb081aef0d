//! The experiments of the repository: each can be planned, and has a question.

#![cfg(feature = "compute")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use experiment::{Bench, DIGITS, succeeds};
use std::fs;
use std::path::PathBuf;

fn experiments() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect()
}

#[test]
fn every_experiment_can_be_planned_and_is_called_as_its_file() {
    assert!(!experiments().is_empty());
    let bench = Bench::with(DIGITS);
    for path in experiments() {
        let (stdout, _) = succeeds(bench.amortgap(&["plan"]).arg(&path));
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (first, stages) = stdout.split_once('\n').unwrap();
        let n = stages.lines().count();
        assert_eq!(first, format!("{name}: {n} stages"));
    }
}

#[test]
fn every_experiment_asks_a_question_and_names_the_answer_that_would_surprise() {
    for path in experiments() {
        let spec = gap_spec::document::read(&path, &[]).unwrap();
        let place = path.display();
        assert!(spec.question.contains('?'), "{place} asks nothing");
        assert!(spec.surprise.trim().len() > 40, "{place} says no surprise");
    }
}
