//! Small experiments that take a second or two, and functions that run the program on them.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// [`DIGITS`] with a decoder for each encoder, which are fitted jointly.
pub fn joint() -> String {
    let training =
        "[encoder_training]\nsteps = 150\nbatch_size = 50\nlearning_rate = 5e-3\nn_samples = 1\n\n";
    let joint = edited(DIGITS, "decoder = \"shared\"", "decoder = \"joint\"");
    edited(&edited(&joint, training, ""), "encoder_hidden = [16]\n", "")
}

/// The small experiment: two seeds, two encoders, and one decoder for each seed, on data that comes with the
/// program.
pub const DIGITS: &str = r#"name = "small-digits"
question = "Does it run?"
surprise = "It does not."
seeds = [0, 1]

[data]
name = "digits-binarized"
split_seed = 0
train_points = 300
measure_train = 40
measure_test = 40

[model]
kind = "mlp-decoder"
latent_dim = 4
hidden = [16]
likelihood = "bernoulli"
decoder = "shared"

[model.training]
encoder_hidden = [16]
steps = 200
batch_size = 50
learning_rate = 5e-3
n_samples = 1

[[encoders]]
kind = "linear"

[[encoders]]
kind = "mlp"
hidden = [4]

[encoder_training]
steps = 150
batch_size = 50
learning_rate = 5e-3
n_samples = 1

[free_form]
starts = ["prior", "encoder"]
tolerance_nats = 0.02
max_steps = 150

[refinement]
steps = [1, 5]

[estimators]
elbo_samples = 100
iw_samples = 200
"#;

/// `text` with `old`, which must occur exactly once, replaced by `new`.
pub fn edited(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old}");
    text.replace(old, new)
}

/// A temporary folder with a spec in it, deleted on drop.
pub struct Bench {
    folder: TempDir,
}

impl Bench {
    /// A folder with `spec` in `spec.toml`.
    pub fn with(spec: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("spec.toml"), spec).unwrap();
        Self { folder }
    }

    /// The path of `name` in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command `amortgap` with these arguments, to be run in this folder.
    pub fn amortgap(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(cargo_bin("amortgap"));
        command
            .current_dir(self.folder.path())
            .args(arguments)
            .env_remove("AMORTGAP_MATH_SWITCH");
        command
    }

    /// `amortgap run spec.toml --out OUT ARGUMENTS`, to be started by the test.
    pub fn run(&self, out: &str, arguments: &[&str]) -> Command {
        let mut command = self.amortgap(&["run", "spec.toml", "--out", out]);
        command.args(arguments);
        command
    }

    /// Runs the command of [`Self::run`], which must succeed, and returns its summary without wall times.
    pub fn summary_of_run(&self, out: &str, arguments: &[&str]) -> Value {
        succeeds(&mut self.run(out, arguments));
        summary(&self.path(out))
    }

    /// What `amortgap status` prints about the results folder `out`.
    pub fn status(&self, out: &str) -> String {
        succeeds(&mut self.amortgap(&["status", out])).0
    }

    /// The content of the JSON file `name` in the folder.
    pub fn json(&self, name: &str) -> Value {
        read_json(&self.path(name))
    }
}

/// Runs a command, which must succeed, and returns its stdout and stderr.
pub fn succeeds(command: &mut Command) -> (String, String) {
    let output = command.output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    (stdout, stderr)
}

/// What a command printed to stdout and to stderr.
pub fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// Runs a command, which must be refused, and returns the one line that it prints to stderr, without `error: `.
pub fn refusal(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stdout, "");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        !stderr.contains("panicked")
            && !stderr.contains("backtrace")
            && !stderr.contains("internal")
    );
    let message = stderr
        .strip_prefix("error: ")
        .expect("it is called an error");
    message.trim_end().to_owned()
}

/// `summary.json` of a folder of results, without wall times.
pub fn summary(folder: &Path) -> Value {
    let mut summary = read_json(&folder.join("summary.json"));
    remove_seconds(&mut summary);
    summary
}

fn remove_seconds(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|key, _| key != "seconds");
            entries.values_mut().for_each(remove_seconds);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_seconds),
        _ => {}
    }
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The number at `pointer`, as in `/encoder/weights`.
pub fn number(value: &Value, pointer: &str) -> f64 {
    let number = value.pointer(pointer).and_then(Value::as_f64);
    number.unwrap_or_else(|| panic!("there is no number at {pointer}"))
}

/// The cells of a summary.
pub fn cells(summary: &Value) -> &[Value] {
    summary["cells"].as_array().unwrap()
}
