//! Reads a spec from a file, applies overrides, and locates mistakes in the file.

mod differences;
mod fault;
mod nesting;
mod overrides;
mod variants;

pub use differences::differences;

use crate::check::CheckedSpec;
use crate::experiment::ExperimentSpec;
use crate::input_file::{self, InputFileError};
use crate::problem::{Experiment, Problem};
use fault::{Fault, key_spans, shortened, span_around_key, toml_fault};
use nesting::nesting_fault;
use overrides::{apply_override, hidden_by_variants, overrides_around_key};
use std::path::{Path, PathBuf};
use toml::Table;

/// The size of the longest spec file that is read; the experiments of the repository have about 2,000 bytes
/// each.
pub const MOST_SPEC_BYTES: u64 = 1 << 20;

/// The most characters of a message, which may quote a value of any length.
const MAX_MESSAGE_CHARACTERS: usize = 1000;

/// The most characters of an assignment in a message.
const MAX_QUOTED_CHARACTERS: usize = 200;

/// A spec cannot be used. Every message is one line that says where the mistake is and how to correct it.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The file cannot be read.
    #[error(
        "{path}: cannot read this spec: {source}; name an experiment, as in experiments/digits-capacity.toml"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: InputFileError,
    },
    /// A line of the file is wrong.
    #[error("{path}:{line}:{column}: {message}")]
    AtPlace {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1, in characters.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// An override is wrong.
    #[error("--set {assignment}: {message}")]
    Override {
        /// The assignment as the user wrote it.
        assignment: String,
        /// What is wrong with it.
        message: String,
    },
}

/// Reads the spec in `path`, applies the overrides, and checks the result; each override is `key.path=value`.
///
/// Each `[variants.NAME]` gives one problem: the rest of the file with overrides applied, and with the
/// variant's keys in place of the same keys there. Tables are merged; any other value, such as a list, is
/// replaced.
///
/// ```no_run
/// let overrides = ["estimators.iw_samples=100".to_owned()];
/// let experiment = gap_spec::document::read("experiments/digits-capacity.toml".as_ref(), &overrides)?;
/// # Ok::<(), gap_spec::document::SpecError>(())
/// ```
///
/// # Errors
///
/// [`SpecError`], with line and column if the mistake is in the file.
pub fn read(path: &Path, overrides: &[String]) -> Result<Experiment, SpecError> {
    let text =
        input_file::read_text(path, MOST_SPEC_BYTES).map_err(|source| SpecError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
    if overrides.is_empty() {
        return parse(path, &text);
    }
    if let Some(fault) = nesting_fault(&text) {
        return Err(error_at_place(path, &text, fault));
    }
    let mut table: Table = toml::from_str(&text)
        .map_err(|error| error_at_place(path, &text, toml_fault(&text, &error)))?;
    for assignment in overrides {
        apply_override(&mut table, assignment)
            .map_err(|message| override_error(assignment, &message))?;
    }
    for assignment in overrides {
        if let Some(message) = hidden_by_variants(&table, assignment) {
            return Err(override_error(assignment, &message));
        }
    }
    let overridden = toml::to_string(&table).expect("a parsed table can be written");
    parse_text(&overridden).map_err(|fault| match parse_text(&text) {
        // A mistake that the file has even without the overrides is reported at its place in the file.
        Err(own) if own.message == fault.message => error_at_place(path, &text, own),
        _ => override_error(&overrides_around_key(overrides, &fault.key), &fault.message),
    })
}

/// The experiment as the text of a file that reads back as the same experiment. Overrides are applied; without
/// variants, defaults are filled in too.
pub fn write(experiment: &Experiment) -> &str {
    &experiment.as_file
}

/// Parses and checks the spec in `text`; `path` is only for messages.
///
/// # Errors
///
/// [`SpecError::AtPlace`] if the text is no valid spec.
pub fn parse(path: &Path, text: &str) -> Result<Experiment, SpecError> {
    parse_text(text).map_err(|fault| error_at_place(path, text, fault))
}

fn parse_text(text: &str) -> Result<Experiment, Fault> {
    if let Some(fault) = nesting_fault(text) {
        return Err(fault);
    }
    if let Ok(file) = toml::from_str::<Table>(text)
        && let Some(experiment) = variants::parse_variants(text, &file)?
    {
        return Ok(experiment);
    }
    let spec = parse_spec(text)?;
    let full: &ExperimentSpec = &spec;
    Ok(Experiment {
        name: spec.name.clone(),
        question: spec.question.clone(),
        surprise: spec.surprise.clone(),
        as_file: toml::to_string(full).expect("a spec has no keys that TOML cannot write"),
        problems: vec![Problem {
            variant: None,
            spec,
        }],
    })
}

/// Parses and checks a text without variants.
fn parse_spec(text: &str) -> Result<CheckedSpec, Fault> {
    let spec: ExperimentSpec = toml::from_str(text).map_err(|error| toml_fault(text, &error))?;
    spec.check().map_err(|conflict| Fault {
        at: span_around_key(&key_spans(text), &conflict.key).map_or(0, |place| place.value.start),
        message: format!("`{}` {}", conflict.key, conflict.message),
        key: conflict.key,
    })
}

/// The error for an `assignment`, or for several joined by `--set`.
fn override_error(assignment: &str, message: &str) -> SpecError {
    SpecError::Override {
        assignment: shortened(assignment, MAX_QUOTED_CHARACTERS),
        message: shortened(message, MAX_MESSAGE_CHARACTERS),
    }
}

fn error_at_place(path: &Path, text: &str, fault: Fault) -> SpecError {
    let before = text.get(..fault.at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    SpecError::AtPlace {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message: shortened(&fault.message, MAX_MESSAGE_CHARACTERS),
    }
}
