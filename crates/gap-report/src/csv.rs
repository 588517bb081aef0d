//! The cells of a summary as one flat table, columns named by their path in `summary.json`.

use gap_schema::Summary;
use gap_schema::summary::Cell;
use serde_json::Value;
use std::collections::HashMap;

/// One line for each cell; a key that a cell leaves out is empty there.
///
/// `encoder` is its short name; the points of `refinement` are named by their steps, as in
/// `refinement.20.gap.mean_nats`. The list of points with different optima is in the JSON alone.
pub(crate) fn cells_csv(summary: &Summary) -> Result<String, serde_json::Error> {
    let mut columns: Vec<String> = Vec::new();
    let mut rows: Vec<HashMap<String, String>> = Vec::new();
    for cell in &summary.cells {
        let mut fields = Vec::new();
        let cell_without_points = Cell {
            different_optima_points: Vec::new(),
            ..cell.clone()
        };
        flatten("", &serde_json::to_value(cell_without_points)?, &mut fields);
        if let Some(encoder) = &cell.encoder {
            fields.push(("encoder".to_owned(), encoder.short()));
        }
        for (name, _) in &fields {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        }
        rows.push(fields.into_iter().collect());
    }
    let line = |cells: Vec<String>| cells.join(",") + "\n";
    let mut text = line(columns.iter().map(|name| quoted(name)).collect());
    for row in &rows {
        let value = |name| {
            row.get(name)
                .map_or_else(String::new, |value| quoted(value))
        };
        text += &line(columns.iter().map(value).collect());
    }
    Ok(text)
}

fn flatten(path: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        _ => format!("{path}.{key}"),
    };
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                flatten(&below(key), value, fields);
            }
        }
        Value::Array(items) if items.iter().all(|item| item.is_object()) => {
            for (i, item) in items.iter().enumerate() {
                let steps = item.get("steps").map_or(i.to_string(), Value::to_string);
                flatten(&below(&steps), item, fields);
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

fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
