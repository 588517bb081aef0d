//! Writes plain data as one flat CSV table for people, whose columns are named by their path in the data's
//! JSON.
//!
//! Spreadsheets take a cell that begins with `=`, `+`, `-` or `@` for a formula, even if it is a name. A name
//! that begins so gets a `'` in front, which spreadsheets take for the mark of a text. Numbers stay as they
//! are.

use serde_json::Value;
use std::collections::HashMap;

/// A line of the table: column names with their fields.
pub(crate) type CsvRow = Vec<(String, CsvField)>;

/// A field of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CsvField {
    /// A name, or another text that is no number.
    Text(String),
    /// A number, a truth value, or nothing.
    Literal(String),
}

impl CsvField {
    fn to_csv(&self) -> String {
        match self {
            Self::Text(text) => text_as_csv(text),
            Self::Literal(literal) => quote_csv_field(literal),
        }
    }
}

/// Flattens `row` into columns that are named by their path. An item of a list of objects is named by its name,
/// by its steps, by its method and estimator, or by its index, as in `protocols.published.elbo.mean_nats`,
/// `refinement.20.gap.mean_nats` and `evidence.model.annealed.mean_nats`; a list of other values is one column.
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
    let mut text = line(columns.iter().map(|name| text_as_csv(name)).collect());
    for row in rows {
        let row: HashMap<&str, &CsvField> = row.iter().map(|(n, v)| (n.as_str(), v)).collect();
        let value = |name| {
            row.get(name)
                .map_or_else(String::new, |field| field.to_csv())
        };
        text += &line(columns.iter().copied().map(value).collect());
    }
    text
}

/// Returns the name of a list's item in a path: its name, its steps, its method and estimator, or else its
/// index.
fn list_item_path_name(i: usize, item: &Value) -> String {
    let text = |key| item.get(key).and_then(Value::as_str);
    if let Some(name) = text("name") {
        return name.to_owned();
    }
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
            fields.push((path.to_owned(), CsvField::Text(items.join("-"))));
        }
        Value::Null => fields.push((path.to_owned(), CsvField::Literal(String::new()))),
        Value::String(text) => fields.push((path.to_owned(), CsvField::Text(text.clone()))),
        literal => fields.push((path.to_owned(), CsvField::Literal(literal.to_string()))),
    }
}

/// Returns a text as a field that no spreadsheet takes for a formula.
fn text_as_csv(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        quote_csv_field(&format!("'{text}"))
    } else {
        quote_csv_field(text)
    }
}

fn quote_csv_field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_is_never_a_formula_and_a_number_stays_a_number() {
        let names = [
            "=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "a=1", "'=1", "=",
        ];
        let rows = names.map(|name| {
            flatten_to_csv_row(&json!({"name": name, "number": -1.5, "list": [-1, 2]})).unwrap()
        });
        let text = csv_document(&rows);
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let cells: Vec<String> = reader
            .records()
            .map(|row| row.unwrap()[0].to_owned())
            .collect();
        let escaped = [
            "'=1+1", "'+1", "'-1", "'@a", "'\t=1", "'\r=1", "'\n=1", "a=1", "'=1", "'=",
        ];
        assert_eq!(cells, escaped);
        for row in ::csv::Reader::from_reader(text.as_bytes()).records() {
            let row = row.unwrap();
            assert_eq!((&row[1], &row[2]), ("-1.5", "'-1-2"));
        }
    }

    #[test]
    fn a_column_is_never_called_by_a_formula() {
        let row = flatten_to_csv_row(&json!({"=1+1,": 2})).unwrap();
        assert_eq!(csv_document(&[row]), "\"'=1+1,\"\n2\n");
    }
}
