//! Tests that no text makes reading a spec panic, whatever it says, or take more memory than its size explains.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod generated;

use gap_spec::document::{self, parse};
use generated::{cases, damaged, damages, pass_in_limited_memory};
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// The published experiments, and the specs of these tests.
static SPECS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut specs: Vec<String> = files
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    assert!(specs.len() > 5);
    specs.push(include_str!("digits.toml").to_owned());
    specs
});

/// Reads a text, and checks that a refusal is one line that names the file.
fn read_text(text: &str) {
    if let Err(error) = parse(Path::new("any.toml"), text) {
        let message = error.to_string();
        assert!(message.starts_with("any.toml:"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

/// A value of TOML, as text.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<u32>().prop_map(|n| n.to_string()),
        (0..5_u32).prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|x| format!("{x:?}").replace("NaN", "nan")),
        prop::sample::select(vec![
            "0.0",
            "-0.0",
            "1e308",
            "5e-324",
            "inf",
            "-inf",
            "nan",
            "true",
            "false",
            "1979-05-27",
            "\"\"",
            "[]",
            "{}"
        ])
        .prop_map(str::to_owned),
        "[a-zé\"'\\\\#\n=.\\[\\]-]{0,12}".prop_map(|text| format!("{text:?}")),
        prop::sample::select(vec![
            "mlp",
            "linear",
            "bernoulli",
            "adam",
            "digits",
            "synthetic",
            "diagonal-gaussian",
            "linear-gaussian"
        ])
        .prop_map(|word| format!("{word:?}")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((key(), inner), 0..3).prop_map(|entries| {
                let entries = entries
                    .iter()
                    .map(|(key, value)| format!("{key} = {value}"));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }),
        ]
    })
}

/// A key of TOML: one that specs have, or another.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "name", "question", "seeds", "data", "model", "kind", "encoders", "hidden", "variants",
            "ascents", "phases", "latent_dim", "steps", "estimators", "annealed", "schedule", "family",
        ]).prop_map(str::to_owned),
        1 => "[a-z]{1,6}",
        1 => "[a-zé .\\[\\]=]{0,6}".prop_map(|text| format!("{text:?}")),
    ]
}

/// A text of TOML with sections, which may have variants.
fn document() -> impl Strategy<Value = String> {
    let path = prop::collection::vec(key(), 1..4).prop_map(|keys| keys.join("."));
    let section = (
        path,
        any::<bool>(),
        prop::collection::vec((key(), value()), 0..5),
    );
    prop::collection::vec(section, 0..6).prop_map(|sections| {
        let mut text = String::new();
        for (path, is_list, entries) in sections {
            text += &if is_list {
                format!("[[{path}]]\n")
            } else {
                format!("[{path}]\n")
            };
            for (key, value) in entries {
                text += &format!("{key} = {value}\n");
            }
        }
        text
    })
}

proptest! {
    #![proptest_config(cases(1_200))]

    #[test]
    #[ignore = "run by `no_generated_spec_panics_or_takes_much_memory`"]
    fn damaged_specs(
        base in any::<prop::sample::Index>(),
        damages in damages(),
        line in any::<prop::sample::Index>(),
        new in prop::option::of((any::<bool>(), value())),
    ) {
        let base = base.get(&SPECS).clone();
        let mut lines: Vec<String> = base.lines().map(str::to_owned).collect();
        match new {
            // A value of one key is replaced, or the key with its value comes once more.
            Some((is_replaced, value)) => {
                let at = line.index(lines.len());
                if let Some((key, _)) = lines[at].clone().split_once('=') {
                    let changed = format!("{key} = {value}");
                    if is_replaced { lines[at] = changed; } else { lines.insert(at, changed); }
                }
                read_text(&lines.join("\n"));
            }
            None => read_text(&String::from_utf8_lossy(&damaged(base.as_bytes(), &damages))),
        }
    }

    #[test]
    #[ignore = "run by `no_generated_spec_panics_or_takes_much_memory`"]
    fn documents_of_any_kind(text in document(), before in any::<bool>()) {
        let base = &SPECS[0];
        read_text(&if before { format!("{text}{base}") } else { format!("{base}\n{text}") });
        read_text(&text);
    }
}

#[test]
#[ignore = "run by `no_generated_spec_panics_or_takes_much_memory`"]
fn long_and_deep_texts() {
    let deep =
        |open: &str, close: &str, n: usize| format!("a = {}{}\n", open.repeat(n), close.repeat(n));
    let base = &SPECS[0];
    for n in [100, 10_000, 200_000] {
        read_text(&deep("[", "]", n));
        read_text(&deep("[", "", n));
        read_text(&deep("{a = ", "}", n));
        read_text(&format!("{} = 1\n", vec!["a"; n].join(".")));
        read_text(&format!("{base}\n[{}]\n", vec!["a"; n].join(".")));
        read_text(&format!(
            "{base}\n[variants.{}]\nb = 1\n",
            vec!["a"; n].join(".")
        ));
        read_text(&format!(
            "{base}\n[[variants.{}]]\nb = 1\n",
            vec!["a"; n].join(".")
        ));
        read_text(&format!("a = \"{}\"\n", "é".repeat(n)));
        read_text(&"é".repeat(n));
        read_text(&"\n".repeat(n));
    }
}

#[test]
fn no_generated_spec_panics_or_takes_much_memory() {
    pass_in_limited_memory(&[
        "damaged_specs",
        "documents_of_any_kind",
        "long_and_deep_texts",
    ]);
}

#[test]
fn the_specs_that_are_damaged_are_valid() {
    for text in SPECS.iter() {
        parse(Path::new("any.toml"), text).unwrap();
    }
    assert!(
        SPECS
            .iter()
            .all(|text| (text.len() as u64) < document::MOST_SPEC_BYTES / 200)
    );
}
