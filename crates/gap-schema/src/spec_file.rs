//! Reads a spec from a file, with overrides, and says where in the file a mistake is.

use crate::spec::{CheckedSpec, ExperimentSpec};
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// A spec cannot be used. Every message is one line that names the place and the cure.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The file cannot be read.
    #[error("{path}: cannot read this spec: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
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
        /// As the user wrote it.
        assignment: String,
        /// What is wrong with it.
        message: String,
    },
}

/// Reads, overrides and checks the spec in `path`; each override is `key.path=value`.
///
/// ```no_run
/// let overrides = ["estimators.iw_samples=100".to_owned()];
/// let spec = gap_schema::spec_file::read("experiments/digits-capacity.toml".as_ref(), &overrides)?;
/// # Ok::<(), gap_schema::spec_file::SpecError>(())
/// ```
///
/// # Errors
///
/// [`SpecError`], with the line and column where the file is at fault.
pub fn read(path: &Path, overrides: &[String]) -> Result<CheckedSpec, SpecError> {
    let text = fs::read_to_string(path).map_err(|source| SpecError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    if overrides.is_empty() {
        return parse(path, &text);
    }
    let mut table: Table =
        toml::from_str(&text).map_err(|error| at_toml_error(path, &text, &error))?;
    for assignment in overrides {
        set(&mut table, assignment).map_err(|message| SpecError::Override {
            assignment: assignment.clone(),
            message,
        })?;
    }
    let overridden = toml::to_string(&table).expect("a parsed table can be written");
    parse_text(&overridden).or_else(|fault| {
        // A mistake that the file has without the overrides is reported at its place in the file.
        parse(path, &text).and(Err(SpecError::Override {
            assignment: overrides.join(" --set "),
            message: fault.message(),
        }))
    })
}

/// The spec as a file: what was written, overrides applied and defaults filled in.
pub fn write(spec: &CheckedSpec) -> String {
    let full: &ExperimentSpec = spec;
    toml::to_string(full).expect("a spec has no keys that TOML cannot write")
}

/// Checks the spec in `text`, which is said to be in `path`.
///
/// # Errors
///
/// [`SpecError::AtPlace`].
pub fn parse(path: &Path, text: &str) -> Result<CheckedSpec, SpecError> {
    parse_text(text).map_err(|fault| match fault {
        Fault::Toml(error) => at_toml_error(path, text, &error),
        Fault::Conflict { at, message } => at_place(path, text, at, message),
    })
}

enum Fault {
    Toml(toml::de::Error),
    Conflict { at: usize, message: String },
}

impl Fault {
    fn message(&self) -> String {
        match self {
            Self::Toml(error) => one_line(error.message()),
            Self::Conflict { message, .. } => message.clone(),
        }
    }
}

fn parse_text(text: &str) -> Result<CheckedSpec, Fault> {
    let spec: ExperimentSpec = toml::from_str(text).map_err(Fault::Toml)?;
    spec.check().map_err(|conflict| Fault::Conflict {
        at: conflict.span.start,
        message: format!("`{}` {}", conflict.key, conflict.message),
    })
}

fn at_toml_error(path: &Path, text: &str, error: &toml::de::Error) -> SpecError {
    let start = error.span().map_or(0, |span| span.start);
    at_place(path, text, start, one_line(error.message()))
}

fn at_place(path: &Path, text: &str, start: usize, message: String) -> SpecError {
    let before = text.get(..start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    SpecError::AtPlace {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message,
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Applies `a.b.0.c=value` to `table`.
fn set(table: &mut Table, assignment: &str) -> Result<(), String> {
    let (key, text) = assignment
        .split_once('=')
        .ok_or("write it as key=value, as in estimators.iw_samples=100")?;
    // A bare word is a string: --set data.name=mnist-binarized.
    let value = toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()));
    let mut parts: Vec<&str> = key.trim().split('.').collect();
    let last = parts.pop().expect("splitting gives at least one part");
    let mut root = Value::Table(std::mem::take(table));
    let result = parts
        .iter()
        .try_fold(&mut root, |at, part| child(at, part))
        .and_then(|parent| match parent {
            Value::Table(table) => {
                table.insert(last.to_owned(), value);
                Ok(())
            }
            other => {
                *child(other, last)? = value;
                Ok(())
            }
        });
    if let Value::Table(restored) = root {
        *table = restored;
    }
    result
}

fn child<'a>(at: &'a mut Value, part: &str) -> Result<&'a mut Value, String> {
    match at {
        Value::Table(table) => Ok(table
            .entry(part.to_owned())
            .or_insert_with(|| Value::Table(Table::new()))),
        Value::Array(items) => {
            let n = items.len();
            part.parse::<usize>()
                .ok()
                .and_then(|i| items.get_mut(i))
                .ok_or_else(|| format!("`{part}` is not an index into a list of {n}"))
        }
        _ => Err(format!("there is no key `{part}` below a plain value")),
    }
}
