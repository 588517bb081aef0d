//! Mistakes in a spec's text: where they are, and messages in the terms of TOML rather than of Rust.

use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The key of the table of variants.
pub(super) const VARIANTS_KEY: &str = "variants";

/// A mistake in a text.
pub(super) struct Fault {
    /// The key with the mistake, as in `encoders[1].hidden`; empty if the text is not TOML.
    pub key: String,
    /// The byte offset of the mistake in the text.
    pub at: usize,
    /// A message of one line, which names the key.
    pub message: String,
}

/// Converts an error of the TOML parser to a fault whose message names the whole key and uses the terms of
/// TOML.
pub(super) fn toml_fault(text: &str, error: &toml::de::Error) -> Fault {
    let span = error.span().unwrap_or_else(|| match error.message() {
        KEY_TOO_LONG_MESSAGE => line_with_most_dots(text),
        _ => 0..0,
    });
    let said = plain_words(&join_into_one_line(error.message()));
    let key_spans = key_spans(text);
    let (key, message) = if let Some(rest) = said.strip_prefix("missing field `") {
        let section = key_spans.iter().rfind(|place| place.value == span);
        let section = section.map_or_else(String::new, |place| format!("{}.", place.key));
        let key = format!("{section}{}", rest.trim_end_matches('`'));
        let message = format!("missing key `{key}`");
        (key, message)
    } else if let Some(place) = error
        .span()
        .and_then(|span| innermost_span(key_spans, span.start))
    {
        let unknown = said.strip_prefix("unknown field `");
        let message = match unknown.and_then(|rest| rest.split_once('`')) {
            Some((_, rest)) if place.key.contains(['.', '[']) => {
                format!("unknown key `{}`{rest}", place.key)
            }
            // The parser lists the keys of a spec without variants; at the top level a file may have `variants`
            // too.
            Some((_, rest)) => format!("unknown key `{}`{rest}, `{VARIANTS_KEY}`", place.key),
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

/// What the parser says of a key of too many parts. It does not say where the key is.
const KEY_TOO_LONG_MESSAGE: &str = "recursion limit";

/// What the parser says of too many lists and tables within each other.
const VALUE_TOO_DEEP_MESSAGE: &str = "cannot recurse further; max recursion depth met";

/// The beginning of the line that has the most dots, as that with the longest key has.
fn line_with_most_dots(text: &str) -> Range<usize> {
    let mut start = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        start += line.len();
        (line.matches('.').count(), start - line.len())
    });
    let (_, start) = lines.max().unwrap_or_default();
    start..start
}

/// Replaces Rust's type names in a message by the terms of TOML.
fn plain_words(message: &str) -> String {
    let message = message
        .replace("wanted string or table", "expected a string")
        .replace("invalid type: map", "invalid type: table")
        .replace("invalid type: sequence", "invalid type: list");
    if [KEY_TOO_LONG_MESSAGE, VALUE_TOO_DEEP_MESSAGE].contains(&message.as_str()) {
        return "tables or lists are nested too deeply, deeper than any key of a spec; remove them"
            .to_owned();
    }
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

/// The byte ranges of a key and of its value in a text.
pub(super) struct KeySpan {
    pub key: String,
    pub name: Range<usize>,
    pub value: Range<usize>,
}

/// The spans of every key in `text` and of every list element; empty if `text` is not TOML.
pub(super) fn key_spans(text: &str) -> Vec<KeySpan> {
    fn collect_key_spans(
        key: &str,
        name: Range<usize>,
        value: &Spanned<DeValue<'_>>,
        into: &mut Vec<KeySpan>,
    ) {
        into.push(KeySpan {
            key: key.to_owned(),
            name,
            value: value.span(),
        });
        match value.get_ref() {
            DeValue::Table(table) => {
                for (name, value) in table {
                    collect_key_spans(
                        &format!("{key}.{}", name.get_ref()),
                        name.span(),
                        value,
                        into,
                    );
                }
            }
            DeValue::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    collect_key_spans(&format!("{key}[{i}]"), item.span(), item, into);
                }
            }
            _ => {}
        }
    }
    let mut key_spans = Vec::new();
    if let Ok(document) = DeTable::parse(text) {
        for (name, value) in document.get_ref() {
            collect_key_spans(name.get_ref(), name.span(), value, &mut key_spans);
        }
    }
    key_spans
}

/// The spans of `key`. If the text does not have it, those of the innermost table or list around it that the
/// text has; `None` if there is none.
pub(super) fn span_around_key<'a>(key_spans: &'a [KeySpan], key: &str) -> Option<&'a KeySpan> {
    let mut key = key;
    loop {
        if let Some(place) = key_spans.iter().find(|place| place.key == key) {
            return Some(place);
        }
        key = &key[..key.rfind(['.', '['])?];
    }
}

/// The key whose name or value is the shortest range that contains the byte `at`.
fn innermost_span(key_spans: Vec<KeySpan>, at: usize) -> Option<KeySpan> {
    let size = |place: &KeySpan| {
        let around = [&place.name, &place.value];
        let sizes = around.into_iter().filter(|range| range.contains(&at));
        sizes.map(ExactSizeIterator::len).min()
    };
    key_spans
        .into_iter()
        .filter(|place| size(place).is_some())
        .min_by_key(size)
}

/// The text, or its beginning and its end if it has more than `most` characters.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let n = text.chars().count();
    if n <= most {
        return text.to_owned();
    }
    let half = most / 2;
    let beginning: String = text.chars().take(half).collect();
    let end: String = text.chars().skip(n - half).collect();
    format!("{beginning} … {end}")
}

fn join_into_one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
