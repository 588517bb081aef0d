//! `[variants.NAME]`: merges each variant's keys into the base, which is the rest of the file.

use super::fault::{Fault, KeySpan, VARIANTS_KEY, key_spans};
use super::parse_spec;
use crate::check::objection_to_name;
use crate::problem::{Experiment, Problem};
use toml::{Table, Value};

/// Keys that all variants share, and that a variant cannot set.
const KEYS_OF_ALL_VARIANTS: [&str; 4] = ["name", "question", "surprise", VARIANTS_KEY];

/// Checks each variant of `file`, the parsed table of `text`; returns `None` if it has no variants.
pub(super) fn parse_variants(text: &str, file: &Table) -> Result<Option<Experiment>, Fault> {
    let Some(variants) = file.get(VARIANTS_KEY) else {
        return Ok(None);
    };
    let key_spans = key_spans(text);
    let example = "give a table for each, as in [variants.digits-z2.model]";
    let variants = match variants {
        Value::Table(variants) if !variants.is_empty() => variants,
        Value::Table(_) => {
            return Err(fault_at_name(
                &key_spans,
                VARIANTS_KEY,
                &format!("is empty; {example}"),
            ));
        }
        _ => {
            return Err(fault_at_name(
                &key_spans,
                VARIANTS_KEY,
                &format!("is no table; {example}"),
            ));
        }
    };
    let mut base = file.clone();
    base.remove(VARIANTS_KEY);
    let base_text = table_as_toml(&base);
    let mut problems = Vec::new();
    for (name, own) in variants {
        let key = format!("{VARIANTS_KEY}.{name}");
        if let Some(objection) = objection_to_name(name, "be called by") {
            return Err(fault_at_name(&key_spans, &key, &objection));
        }
        let Value::Table(own) = own else {
            return Err(fault_at_name(
                &key_spans,
                &key,
                &format!("is no table; {example}"),
            ));
        };
        if let Some(shared) = KEYS_OF_ALL_VARIANTS
            .iter()
            .find(|key| own.contains_key(**key))
        {
            let message =
                format!("cannot be set here: all variants share one `{shared}`; remove it");
            return Err(fault_at_name(
                &key_spans,
                &format!("{key}.{shared}"),
                &message,
            ));
        }
        let mut merged = base.clone();
        merge_tables(&mut merged, own);
        let merged = table_as_toml(&merged);
        let spec = parse_spec(&merged).map_err(|fault| {
            // A mistake that the base has too is reported as the base's, unless the variant sets the key
            // itself.
            let own = format!("{key}.{}", fault.key);
            let is_of_base = !key_spans.iter().any(|place| place.key == own)
                && parse_spec(&base_text).is_err_and(|base| base.message == fault.message);
            let within = if is_of_base { "" } else { key.as_str() };
            let (key, at) = locate_in_file(&key_spans, within, &merged, &fault);
            let message = if is_of_base {
                fault.message
            } else {
                format!("variant `{name}`: {}", without_keys_of_all_variants(&fault))
            };
            Fault { key, at, message }
        })?;
        problems.push(Problem {
            variant: Some(name.clone()),
            spec,
        });
    }
    let first = &problems.first().expect("there is a variant").spec;
    Ok(Some(Experiment {
        name: first.name.clone(),
        question: first.question.clone(),
        surprise: first.surprise.clone(),
        as_file: table_as_toml(file),
        problems,
    }))
}

/// Merges `own` into `into`: tables key by key; any other value of `own` replaces the one in `into`.
fn merge_tables(into: &mut Table, own: &Table) {
    for (key, value) in own {
        match (into.get_mut(key), value) {
            (Some(Value::Table(into)), Value::Table(own)) => merge_tables(into, own),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

fn table_as_toml(table: &Table) -> String {
    toml::to_string(table).expect("a parsed table can be written")
}

fn fault_at_name(key_spans: &[KeySpan], key: &str, message: &str) -> Fault {
    let place = key_spans.iter().find(|place| place.key == key);
    Fault {
        key: key.to_owned(),
        at: place.map_or(0, |place| place.name.start),
        message: format!("`{key}` {message}"),
    }
}

/// The message of a fault. If it lists the keys that a file may have, those that a variant cannot set are left
/// out.
fn without_keys_of_all_variants(fault: &Fault) -> String {
    let mut message = fault.message.clone();
    if message.starts_with("unknown key") && !fault.key.contains(['.', '[']) {
        for key in KEYS_OF_ALL_VARIANTS {
            message = message.replace(&format!("`{key}`, "), "");
            message = message.replace(&format!(", `{key}`"), "");
        }
    }
    message
}

/// Locates a fault of the text `merged` in the file, and returns the key and the byte offset there. The fault's
/// key is looked up below the key `within`, or else in the base. If `merged` does not have it, the innermost
/// table or list around it that `merged` has is located instead.
fn locate_in_file(file: &[KeySpan], within: &str, merged: &str, fault: &Fault) -> (String, usize) {
    let in_merged = key_spans(merged);
    let mut key = fault.key.as_str();
    // `merged`, not the file, decides how much of the key exists: where a variant's list replaces the base's,
    // the base's list may have a key that the variant's list lacks.
    while !in_merged.iter().any(|place| place.key == key) {
        match key.rfind(['.', '[']) {
            Some(end) => key = &key[..end],
            None => return (fault.key.clone(), 0),
        }
    }
    let is_at_name = in_merged
        .iter()
        .any(|place| place.key == fault.key && place.name.start == fault.at);
    let own = format!("{within}.{key}");
    let find = |key: &str| file.iter().find(|place| place.key == key);
    let place = find(&own)
        .or_else(|| find(key))
        .expect("what is merged is of the variant or of the base");
    let range = if is_at_name {
        &place.name
    } else {
        &place.value
    };
    (place.key.clone(), range.start)
}
