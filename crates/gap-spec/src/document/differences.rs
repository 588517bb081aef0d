//! Says in which keys two specs differ.

use std::collections::BTreeMap;
use toml::{Table, Value};

/// Describes each key in which the specs `before` and `after` differ, as in
/// `` `estimators.iw_samples` was 30 and is 50 ``, in the order of the keys. A text that is not TOML has no
/// keys.
pub fn differences(before: &str, after: &str) -> Vec<String> {
    let [before, after] = [before, after].map(|text| {
        let mut values = BTreeMap::new();
        if let Ok(table) = toml::from_str::<Table>(text) {
            collect_values("", &Value::Table(table), &mut values);
        }
        values
    });
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    let changed = keys
        .into_iter()
        .filter(|key| before.get(*key) != after.get(*key));
    changed
        .map(|key| {
            let [before, after] =
                [&before, &after].map(|values| values.get(key).map_or("not set", String::as_str));
            format!("`{key}` was {before} and is {after}")
        })
        .collect()
}

/// Enters the values below `value` into `values`, by their dotted keys; entries of lists of tables are numbered
/// from 0.
fn collect_values(key: &str, value: &Value, values: &mut BTreeMap<String, String>) {
    let below = |part: &str| match key {
        "" => part.to_owned(),
        key => format!("{key}.{part}"),
    };
    match value {
        Value::Table(table) => {
            for (part, value) in table {
                collect_values(&below(part), value, values);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_table) => {
            for (i, item) in items.iter().enumerate() {
                collect_values(&below(&i.to_string()), item, values);
            }
        }
        value => {
            values.insert(key.to_owned(), value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_added_and_removed_keys_are_described() {
        let before = "a = 1\n[t]\nb = [1, 2]\nc = 'x'\n[[e]]\nkind = 'linear'\n";
        let after = "a = 1\n[t]\nb = [1, 3]\nd = 2.5\n[[e]]\nkind = 'mlp'\n";
        assert_eq!(
            differences(before, after),
            [
                "`e.0.kind` was \"linear\" and is \"mlp\"",
                "`t.b` was [1, 2] and is [1, 3]",
                "`t.c` was \"x\" and is not set",
                "`t.d` was not set and is 2.5",
            ]
        );
        assert!(differences(after, after).is_empty());
    }
}
