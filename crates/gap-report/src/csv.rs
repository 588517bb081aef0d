//! Writes parts of a summary as one flat table, whose columns are named by their path in `summary.json`.

use serde_json::Value;
use std::collections::HashMap;

/// A line of the table: column names with their values.
pub(crate) type CsvRow = Vec<(String, String)>;

/// Flattens `row` into columns that are named by their path. An item of a list of objects is named by its
/// steps, by its method and estimator, or by its index, as in `refinement.20.gap.mean_nats` and
/// `evidence.model.annealed.mean_nats`; a list of other values is one column.
pub(crate) fn flatten_to_csv_row(row: &impl serde::Serialize) -> Result<CsvRow, serde_json::Error> {
    let mut fields = Vec::new();
    flatten_json_value("", &serde_json::to_value(row)?, &mut fields);
    Ok(fields)
}

/// Returns `rows` as CSV text. Columns are in the order in which their names first appear; a row that lacks a
/// column has an empty field there.
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

/// Returns the name of a list's item in a path: its steps, its method and estimator, or else its index.
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
