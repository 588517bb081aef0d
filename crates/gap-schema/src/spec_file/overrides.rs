//! `--set key=value`: what it changes, and which of several is at fault.

use toml::{Table, Value};

/// The overrides of `key`, of a part of it or of the section around it; all where none is.
pub(super) fn blamed(overrides: &[String], key: &str) -> String {
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

/// Applies `a.b.0.c=value` to `table`.
pub(super) fn set(table: &mut Table, assignment: &str) -> Result<(), String> {
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
