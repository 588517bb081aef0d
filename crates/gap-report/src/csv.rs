//! Parts of a summary as one flat table, columns named by their path in `summary.json`.

use serde_json::Value;
use std::collections::HashMap;

/// The names of a line's columns, with their values.
pub(crate) type CsvRow = Vec<(String, String)>;

/// Every number and text in `row`, named by its path; the items of a list are named by what tells them
/// apart, as in `refinement.20.gap.mean_nats` and `evidence.model.annealed.mean_nats`.
pub(crate) fn flatten_to_csv_row(row: &impl serde::Serialize) -> Result<CsvRow, serde_json::Error> {
    let mut fields = Vec::new();
    flatten_json_value("", &serde_json::to_value(row)?, &mut fields);
    Ok(fields)
}

/// A column for each name, in the order in which they first come up; empty where a row lacks it.
pub(crate) fn csv_document(rows: &[CsvRow]) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let line = |cells: Vec<String>| cells.join(",") + "\n";
    let mut text = line(columns.iter().map(|name| quote_csv_field(name)).collect());
    for row in rows {
        let row: HashMap<&str, &String> = row.iter().map(|(n, v)| (n.as_str(), v)).collect();
        let value = |name| {
            row.get(name)
                .map_or_else(String::new, |value| quote_csv_field(value))
        };
        text += &line(columns.iter().copied().map(value).collect());
    }
    text
}

/// What tells the items of a list apart.
fn list_item_path_name(i: usize, item: &Value) -> String {
    let text = |key| item.get(key).and_then(Value::as_str);
    match (item.get("steps"), text("method"), text("estimator")) {
        (Some(steps), ..) => steps.to_string(),
        (None, Some(method), Some(estimator)) => format!("{method}.{estimator}"),
        _ => i.to_string(),
    }
}

fn flatten_json_value(path: &str, value: &Value, fields: &mut CsvRow) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        _ => format!("{path}.{key}"),
    };
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                flatten_json_value(&below(key), value, fields);
            }
        }
        Value::Array(items) if items.iter().all(|item| item.is_object()) => {
            for (i, item) in items.iter().enumerate() {
                flatten_json_value(&below(&list_item_path_name(i, item)), item, fields);
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(Value::to_string).collect();
            fields.push((path.to_owned(), items.join("-")));
        }
        Value::Null => fields.push((path.to_owned(), String::new())),
        Value::String(text) => fields.push((path.to_owned(), text.clone())),
        number => fields.push((path.to_owned(), number.to_string())),
    }
}

fn quote_csv_field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
