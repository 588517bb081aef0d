//! `--set key=value`: applies overrides, finds those that may have caused a mistake, and refuses those that
//! have no effect.

use super::fault::VARIANTS_KEY;
use super::nesting::{MAX_LEVELS, nesting_fault};
use toml::{Table, Value};

/// Returns the overrides of `key`, of keys below it and of sections around it, joined by `--set`; if there are
/// none, returns all overrides.
pub(super) fn overrides_around_key(overrides: &[String], key: &str) -> String {
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

/// Returns the error message for an assignment without effect, one whose value every variant of `file`
/// overrides; `None` for any other assignment.
pub(super) fn hidden_by_variants(file: &Table, assignment: &str) -> Option<String> {
    let key = assignment.split('=').next().unwrap_or_default().trim();
    let parts: Vec<&str> = key.split('.').collect();
    let Some(Value::Table(variants)) = file.get(VARIANTS_KEY) else {
        return None;
    };
    let set = value_at(file, &parts);
    let hides = |own: &Value| set.is_some_and(|set| is_hidden(own, &parts, set));
    let first = variants.keys().next()?;
    let all_hide = parts[0] != VARIANTS_KEY && variants.values().all(hides);
    all_hide.then(|| {
        format!(
            "changes nothing: every variant has a `{key}` of its own; set it there, as in {VARIANTS_KEY}.{first}.{assignment}"
        )
    })
}

/// The value at the path `parts` below `table`; an element of a list is addressed by its index.
fn value_at<'a>(table: &'a Table, parts: &[&str]) -> Option<&'a Value> {
    let (first, rest) = parts.split_first()?;
    let below = |at: &'a Value, part: &&str| match at {
        Value::Table(table) => table.get(*part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    };
    rest.iter().try_fold(table.get(*first)?, below)
}

/// Whether a variant's `own` keys override every part of `set`, the base's value at the path `parts`, so that
/// changing it in the base has no effect on this variant.
fn is_hidden(own: &Value, parts: &[&str], set: &Value) -> bool {
    match (own, parts.split_first(), set) {
        (Value::Table(own), Some((first, rest)), _) => {
            let own = own.get(*first);
            own.is_some_and(|own| is_hidden(own, rest, set))
        }
        (Value::Table(own), None, Value::Table(set)) => set.iter().all(|(key, set)| {
            let own = own.get(key);
            own.is_some_and(|own| is_hidden(own, &[], set))
        }),
        // Only tables are merged; any other value of the variant replaces the base's value.
        _ => true,
    }
}

/// Applies an assignment such as `a.b.0.c=value` to `table`.
pub(super) fn apply_override(table: &mut Table, assignment: &str) -> Result<(), String> {
    let (key, text) = assignment
        .split_once('=')
        .ok_or("write it as key=value, as in estimators.iw_samples=100")?;
    if key.split('.').any(|part| part.trim().is_empty()) {
        return Err(
            "has an empty part in its key; write it as in estimators.iw_samples=100".into(),
        );
    }
    let n_parts = key.split('.').count();
    if n_parts > MAX_LEVELS {
        return Err(format!(
            "has a key of {n_parts} parts, more than any key of a spec; use at most {MAX_LEVELS}"
        ));
    }
    let as_toml = format!("value = {text}");
    if let Some(fault) = nesting_fault(&as_toml) {
        return Err(fault.message);
    }
    // An unquoted word is read as a string, as in --set data.name=mnist-binarized. A date is too, since no key
    // takes one.
    let value = toml::from_str::<Table>(&as_toml)
        .ok()
        .and_then(|mut parsed| parsed.remove("value"))
        .filter(|value| !value.is_datetime())
        .unwrap_or_else(|| Value::String(text.to_owned()));
    let mut parts: Vec<&str> = key.trim().split('.').collect();
    let last = parts.pop().expect("splitting gives at least one part");
    let mut root = Value::Table(std::mem::take(table));
    let result = parts
        .iter()
        .try_fold(&mut root, |at, part| child_value(at, part))
        .and_then(|parent| match parent {
            Value::Table(table) => {
                table.insert(last.to_owned(), value);
                Ok(())
            }
            other => {
                *child_value(other, last)? = value;
                Ok(())
            }
        });
    if let Value::Table(restored) = root {
        *table = restored;
    }
    result
}

fn child_value<'a>(at: &'a mut Value, part: &str) -> Result<&'a mut Value, String> {
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
