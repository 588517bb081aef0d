//! A valid spec, edits of it, and their messages.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use gap_spec::CheckedSpec;
use gap_spec::Experiment;
use gap_spec::document::{SpecError, parse, read};
use std::fs;
use std::path::Path;

/// A valid spec.
pub const DIGITS: &str = include_str!("../digits.toml");

/// The valid spec with the text `from`, which must be in it once, replaced by `to`.
pub fn edited(from: &str, to: &str) -> String {
    assert_eq!(DIGITS.matches(from).count(), 1, "{from:?} is there once");
    DIGITS.replace(from, to)
}

/// The valid spec with a jointly fitted decoder for each encoder.
pub fn joint() -> String {
    let training =
        "[encoder_training]\nsteps = 300\nbatch_size = 64\nlearning_rate = 0.001\nn_samples = 4\n";
    edited("decoder = \"shared\"", "decoder = \"joint\"")
        .replace("encoder_hidden = [100]\n", "")
        .replace(training, "")
}

/// The valid spec, which has 59 lines, followed by `more` from line 60.
pub fn with(more: &str) -> String {
    format!("{}\n{more}", DIGITS.trim_end())
}

/// The valid spec with an ascent of these `keys`, which start at line 61.
pub fn with_ascent(keys: &str) -> String {
    with(&format!("[ascents.own]\n{keys}\n"))
}

/// Parses a text without variants.
pub fn parsed(text: &str) -> Result<CheckedSpec, String> {
    experiment(text).map(|experiment| only_spec(&experiment))
}

/// Parses a text with or without variants.
pub fn experiment(text: &str) -> Result<Experiment, String> {
    parse(Path::new("digits.toml"), text).map_err(|error| one_line(&error))
}

/// The spec of an experiment without variants.
pub fn only_spec(experiment: &Experiment) -> CheckedSpec {
    assert_eq!(experiment.problems.len(), 1);
    experiment.problem(None).unwrap().spec.clone()
}

/// The message of `error`, which must be one line.
pub fn one_line(error: &SpecError) -> String {
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message:?}");
    message
}

/// Parses a text without variants, with overrides.
pub fn overridden(text: &str, overrides: &[&str]) -> Result<CheckedSpec, String> {
    experiment_with(text, overrides).map(|experiment| only_spec(&experiment))
}

/// Writes `text` to a file and reads it with overrides; the folder's path is removed from the message.
pub fn experiment_with(text: &str, overrides: &[&str]) -> Result<Experiment, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("digits.toml");
    fs::write(&path, text).unwrap();
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    let place = format!("{}/", dir.path().display());
    read(&path, &overrides).map_err(|error| one_line(&error).replace(&place, ""))
}

/// Checks that each edit of the valid spec, `(from, to, message)`, is refused with its message.
#[track_caller]
pub fn refused(cases: &[(&str, &str, &str)]) {
    for (from, to, message) in cases {
        let error = parsed(&edited(from, to)).expect_err(to);
        assert_eq!(&error, message, "{from:?} -> {to:?}");
    }
}
