//! Generated manifests of results and stages, names of owners, and interrupted publications, all with right
//! digests: nothing outside the folder is read or changed, and whatever is published is whole.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use gap_store::published::{self, Extent, Publication, Published};
use gap_store::{FileDigest, Store, seal, status};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;

/// Names of files: parts that are names of ours, lead elsewhere or are no names.
fn name() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "a",
        "figures",
        "report.html",
        "provenance.json",
        "earlier",
        ".stages",
        "experiment",
        "model-1",
        ".amortgap-publishing",
        "victim",
        "..",
        ".",
        "",
        "\\",
        "\0",
        "é",
        "OUTSIDE",
    ]);
    let elsewhere = prop::sample::select(vec![
        "../victim",
        "OUTSIDE/victim",
        "figures/../../victim",
        "../figures",
        "earlier/a",
    ]);
    prop_oneof![
        prop::collection::vec(part, 1..6).prop_map(|parts| parts.join("/")),
        elsewhere.prop_map(str::to_owned),
    ]
}

/// Values of a key that should have a text or a list.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        name().prop_map(Value::from),
        "[0-9a-f]{16}".prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        Just(Value::Null),
        prop::collection::vec(name(), 0..4).prop_map(Value::from),
        (
            name(),
            prop::sample::select(vec!["Changed", "OtherResults", "x"])
        )
            .prop_map(|(name, why)| json!([name, why])),
    ]
}

/// Digests of files that are there, or claims about files that are not.
fn files() -> impl Strategy<Value = Value> {
    let digest = prop_oneof![
        Just(FileDigest::of(b"mine")),
        (any::<u64>(), "[0-9a-f]{64}").prop_map(|(bytes, blake3)| FileDigest { bytes, blake3 }),
    ];
    prop::collection::btree_map(name(), digest, 0..5)
        .prop_map(|files| serde_json::to_value(files).unwrap())
}

/// A sealed object with some of the keys that ours have.
fn object() -> impl Strategy<Value = Value> {
    let keys = [
        "amortgap",
        "plan",
        "stage",
        "experiment",
        "kept",
        "removed",
        "numbers",
    ];
    let entries = prop::collection::btree_map(prop::sample::select(keys.to_vec()), value(), 0..6);
    (entries, prop::option::weighted(0.8, files()), any::<bool>()).prop_map(
        |(entries, files, own)| {
            let entries = entries
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value));
            let mut object: Map<String, Value> = entries.collect();
            object.extend(files.map(|files| ("files".to_owned(), files)));
            if own {
                object.extend([
                    ("amortgap".to_owned(), Value::from("1")),
                    ("stage".to_owned(), Value::from("model-1")),
                ]);
            }
            Value::Object(object)
        },
    )
}

/// A place in a text and what is there instead, or where the text ends.
type Damage = Option<(prop::sample::Index, Option<u8>)>;

fn damage() -> impl Strategy<Value = Damage> {
    prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<Option<u8>>()))
}

/// The text of the sealed object, with the path of the folder `outside` in place of `OUTSIDE`.
fn sealed(object: &Value, damage: &Damage, outside: &Path) -> Vec<u8> {
    let text = object
        .to_string()
        .replace("OUTSIDE", outside.to_str().unwrap());
    let mut text = seal(&serde_json::from_str::<Value>(&text).unwrap()).into_bytes();
    match damage {
        Some((at, Some(byte))) => {
            let at = at.index(text.len());
            text[at] = *byte;
        }
        Some((at, None)) => text.truncate(at.index(text.len())),
        None => {}
    }
    text
}

/// The places of sealed objects in a folder of results.
const PLACES: [&str; 5] = [
    "provenance.json",
    ".stages/model-1/manifest.json",
    ".stages/experiment",
    ".amortgap-publishing/steps.json",
    ".amortgap-publishing/files/provenance.json",
];

fn publish(results: &Path, summary: &str) -> bool {
    let publication = Publication {
        files: [("summary.json".to_owned(), summary.as_bytes().to_vec())].into(),
        manifest: Map::from_iter([("amortgap".to_owned(), Value::from("1"))]),
        is_same: &|_, _| false,
        extent: Extent::Whole,
    };
    published::publish(results, &publication).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_manifest_leads_out_of_its_folder(
        objects in prop::collection::vec(
            (prop::sample::select(PLACES.to_vec()), object(), damage()),
            1..5,
        ),
    ) {
        let outside = tempfile::tempdir().unwrap();
        let results = outside.path().join("results");
        for folder in ["earlier", "figures", ".stages/model-1"] {
            fs::create_dir_all(results.join(folder)).unwrap();
        }
        let kept = [outside.path().join("victim"), outside.path().join("figures"), results.join("earlier/a")];
        let others = [results.join("report.html"), results.join("figures/a")];
        for path in kept.iter().chain(&others) {
            fs::write(path, "mine").unwrap();
        }
        for (place, object, damage) in &objects {
            let path = results.join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, sealed(object, damage, outside.path())).unwrap();
        }
        fs::create_dir_all(results.join(".amortgap-publishing/earlier")).unwrap();

        let _ = published::read(&results);
        let _ = status(&results);
        let opened = Store::open(&results, "small");
        if let Ok((store, _)) = &opened {
            let _ = store.stages().state("model-1");
            let _ = store.stages().read_file("model-1", "../../../victim");
            store.remove_stages(|_| true).unwrap();
        }
        if publish(&results, "1") {
            let Published::WithDigests { faults, .. } = published::read(&results) else {
                panic!("it is published")
            };
            prop_assert!(faults.is_empty(), "{:?}", faults);
        }
        for path in kept {
            prop_assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        }
        let mut left: Vec<_> = fs::read_dir(outside.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        prop_assert_eq!(left, ["figures", "results", "victim"]);
    }
}
