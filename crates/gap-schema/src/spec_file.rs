//! Reads a spec from a file, with overrides, and says where in the file a mistake is.

use crate::spec::{CheckedSpec, ExperimentSpec};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// A spec cannot be used. Every message is one line that names the place and the cure.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The file cannot be read.
    #[error(
        "{path}: cannot read this spec: {source}; name an experiment, as in experiments/digits-capacity.toml"
    )]
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
        toml::from_str(&text).map_err(|error| at_place(path, &text, toml_fault(&text, &error)))?;
    for assignment in overrides {
        set(&mut table, assignment).map_err(|message| SpecError::Override {
            assignment: assignment.clone(),
            message,
        })?;
    }
    let overridden = toml::to_string(&table).expect("a parsed table can be written");
    parse_text(&overridden).map_err(|fault| match parse_text(&text) {
        // A mistake that the file has without the overrides is reported at its place in the file.
        Err(own) if own.message == fault.message => at_place(path, &text, own),
        _ => SpecError::Override {
            assignment: blamed(overrides, &fault.key),
            message: fault.message,
        },
    })
}

/// The overrides of `key`, of a part of it or of the section around it; all where none is.
fn blamed(overrides: &[String], key: &str) -> String {
    let key = key.replace('[', ".").replace(']', "");
    let within = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let mut guilty: Vec<&str> = overrides.iter().map(String::as_str).collect();
    guilty.retain(|assignment| {
        let set = assignment.split('=').next().unwrap_or_default().trim();
        within(&key, set) || within(set, &key)
    });
    if guilty.is_empty() {
        overrides.join(" --set ")
    } else {
        guilty.join(" --set ")
    }
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
    parse_text(text).map_err(|fault| at_place(path, text, fault))
}

/// What is wrong with a text.
struct Fault {
    /// The key, as in `encoders[1].hidden`; empty where the text is not TOML.
    key: String,
    /// The byte of the text where it stands.
    at: usize,
    /// One line, which names the key.
    message: String,
}

fn parse_text(text: &str) -> Result<CheckedSpec, Fault> {
    let spec: ExperimentSpec = toml::from_str(text).map_err(|error| toml_fault(text, &error))?;
    spec.check().map_err(|conflict| {
        // An element of a list of sections has no span of its own in the spec.
        let element = places(text)
            .into_iter()
            .find(|place| place.key == conflict.key && conflict.key.ends_with(']'));
        Fault {
            at: element.map_or(conflict.span.start, |place| place.value.start),
            message: format!("`{}` {}", conflict.key, conflict.message),
            key: conflict.key,
        }
    })
}

/// What the parser says, with the whole key and in the words of this program.
fn toml_fault(text: &str, error: &toml::de::Error) -> Fault {
    let span = error.span().unwrap_or(0..0);
    let said = plain_words(&one_line(error.message()));
    let places = places(text);
    let (key, message) = if let Some(rest) = said.strip_prefix("missing field `") {
        let section = places.iter().rfind(|place| place.value == span);
        let section = section.map_or_else(String::new, |place| format!("{}.", place.key));
        let key = format!("{section}{}", rest.trim_end_matches('`'));
        let message = format!("missing key `{key}`");
        (key, message)
    } else if let Some(place) = error.span().and_then(|span| innermost(places, span.start)) {
        let unknown = said.strip_prefix("unknown field `");
        let message = match unknown.and_then(|rest| rest.split_once('`')) {
            Some((_, rest)) => format!("unknown key `{}`{rest}", place.key),
            None => format!("`{}`: {said}", place.key),
        };
        (place.key, message)
    } else if let Some(key) = text.get(span.clone()).filter(|_| said == "duplicate key") {
        (
            String::new(),
            format!("{said} `{key}`; keep one of the two"),
        )
    } else {
        (String::new(), said)
    };
    Fault {
        key,
        at: span.start,
        message,
    }
}

/// Rust's names of types in the words of TOML.
fn plain_words(message: &str) -> String {
    let message = message
        .replace("wanted string or table", "expected a string")
        .replace("invalid type: map", "invalid type: table")
        .replace("invalid type: sequence", "invalid type: list");
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        return message;
    };
    let expected = match expected {
        "i64" => "a whole number",
        "u32" => "a whole number from 0 to 4294967295",
        "f64" => "a number",
        "a sequence" => "a list",
        structure if structure.starts_with("struct ") => "a table",
        other => other,
    };
    format!("{found}, expected {expected}")
}

/// Where a key and its value stand in a text.
struct Place {
    key: String,
    name: Range<usize>,
    value: Range<usize>,
}

/// Every key of `text`, and every element of a list; none if it is not TOML.
fn places(text: &str) -> Vec<Place> {
    fn walk(key: &str, name: Range<usize>, value: &Spanned<DeValue<'_>>, into: &mut Vec<Place>) {
        into.push(Place {
            key: key.to_owned(),
            name,
            value: value.span(),
        });
        match value.get_ref() {
            DeValue::Table(table) => {
                for (name, value) in table {
                    walk(
                        &format!("{key}.{}", name.get_ref()),
                        name.span(),
                        value,
                        into,
                    );
                }
            }
            DeValue::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    walk(&format!("{key}[{i}]"), item.span(), item, into);
                }
            }
            _ => {}
        }
    }
    let mut places = Vec::new();
    if let Ok(document) = DeTable::parse(text) {
        for (name, value) in document.get_ref() {
            walk(name.get_ref(), name.span(), value, &mut places);
        }
    }
    places
}

/// The place of the shortest key or value around the byte `at`.
fn innermost(places: Vec<Place>, at: usize) -> Option<Place> {
    let size = |place: &Place| {
        let around = [&place.name, &place.value];
        let sizes = around.into_iter().filter(|range| range.contains(&at));
        sizes.map(ExactSizeIterator::len).min()
    };
    places
        .into_iter()
        .filter(|place| size(place).is_some())
        .min_by_key(size)
}

fn at_place(path: &Path, text: &str, fault: Fault) -> SpecError {
    let before = text.get(..fault.at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    SpecError::AtPlace {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message: fault.message,
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
    if key.split('.').any(|part| part.trim().is_empty()) {
        return Err(
            "has an empty part in its key; write it as in estimators.iw_samples=100".into(),
        );
    }
    // A bare word is a string: --set data.name=mnist-binarized. So is a date: no key takes one.
    let value = toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut parsed| parsed.remove("value"))
        .filter(|value| !value.is_datetime())
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
