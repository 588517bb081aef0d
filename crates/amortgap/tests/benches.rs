//! `amortgap bench` on results as criterion stores them: the table, the figure and the files.

#![cfg(feature = "compute")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use experiment::{Bench, DIGITS, number, refusal, succeeds};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Writes the files that criterion would for a bench that took `nanoseconds` per run.
fn store(bench: &Bench, ids: &[&str], throughput: &Value, nanoseconds: f64) {
    let folder = bench.path("criterion").join(ids.join("/")).join("new");
    store_in(&folder, ids, throughput, nanoseconds);
}

/// Writes the files of [`store`] into `folder`.
fn store_in(folder: &Path, ids: &[&str], throughput: &Value, nanoseconds: f64) {
    fs::create_dir_all(folder).unwrap();
    let benchmark = json!({
        "group_id": ids[0], "function_id": ids.get(1), "value_str": ids.get(2),
        "throughput": throughput, "full_id": ids.join("/"), "directory_name": ids.join("/"),
        "title": ids.join("/"),
    });
    let estimate = json!({
        "confidence_interval": {"confidence_level": 0.95, "lower_bound": 0.5 * nanoseconds,
            "upper_bound": 2.0 * nanoseconds},
        "point_estimate": nanoseconds, "standard_error": 0.1 * nanoseconds,
    });
    let estimates = json!({"mean": estimate, "median": estimate, "median_abs_dev": estimate,
        "slope": null, "std_dev": estimate});
    fs::write(folder.join("benchmark.json"), benchmark.to_string()).unwrap();
    fs::write(folder.join("estimates.json"), estimates.to_string()).unwrap();
}

/// A folder with results of two workloads and of a bench that is not a workload.
fn with_results() -> Bench {
    let bench = Bench::with(DIGITS);
    let elements = |n: u64| json!({ "Elements": n });
    let reoptimise = ["one_observation_reoptimise", "observations"];
    store(&bench, &reoptimise, &elements(1), 0.25e9);
    store(&bench, &["W2_batch1000", "points"], &elements(1000), 5e6);
    store(
        &bench,
        &["10-64-64-64", "score", "avx2-full"],
        &elements(1000),
        1e6,
    );
    bench
}

const COMMAND: [&str; 5] = ["bench", "--criterion", "criterion", "--out", "out"];

#[test]
fn stored_results_become_a_table_a_figure_and_files() {
    let bench = with_results();
    let (stdout, stderr) = succeeds(&mut bench.amortgap(&COMMAND));
    assert_eq!(stderr, "");
    let lines: Vec<Vec<&str>> = stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0],
        [
            "work", "unit", "per", "second", "interval", "from", "measured"
        ]
    );
    let rows = [
        [
            "W2_batch1000",
            "points/s",
            "200,000",
            "100,000–400,000",
            "mean",
        ],
        [
            "one_observation_reoptimise",
            "observations/s",
            "4.000",
            "2.000–8.000",
            "mean",
        ],
        [
            "10-64-64-64/score/avx2-full",
            "elements/s",
            "1,000,000",
            "500,000–2,000,000",
            "mean",
        ],
    ];
    for (line, row) in lines[2..].iter().zip(rows) {
        assert_eq!(line[..5], row, "{stdout}");
    }
    assert!(
        stdout.contains("1 other bench is in the table alone"),
        "{stdout}"
    );

    let json = bench.json("out/bench.json");
    assert_eq!(json["benches"].as_array().unwrap().len(), 3);
    assert_eq!(json["benches"][0]["work"], "W2_batch1000");
    assert_eq!(number(&json, "/benches/0/per_second"), 200_000.0);
    assert_eq!(number(&json, "/benches/0/low_per_second"), 100_000.0);
    assert_eq!(number(&json, "/benches/0/high_per_second"), 400_000.0);
    assert_eq!(json["benches"][2]["workload"], false);
    let text = |name: &str| fs::read_to_string(bench.path(name)).unwrap();
    assert!(text("out/bench.csv").starts_with("work,workload,unit,per_second,"));
    assert_eq!(text("out/bench.csv").lines().count(), 4);
    assert!(text("out/bench.md").contains("| W2\\_batch1000 | points/s | 200,000 |"));
    let figure = text("out/throughput.svg");
    assert!(figure.contains("batch1000") && figure.contains("observations/s"));
    assert!(!figure.contains("avx2-full"), "workloads alone");
    let provenance = bench.json("out/provenance.json");
    assert!(provenance["cpu"].is_string() && provenance.get("seeds").is_none());
}

#[test]
fn the_name_of_a_bench_is_neither_a_formula_nor_markup() {
    let bench = Bench::with(DIGITS);
    let names = ["=HYPERLINK(\"evil\")", "@sum", "a|b `c` <i>*d*</i>"];
    for name in names {
        let folder = bench
            .path("criterion")
            .join(name.replace('/', "_"))
            .join("new");
        store_in(&folder, &[name], &json!({"Elements": 5}), 1e9);
    }
    succeeds(&mut bench.amortgap(&COMMAND));
    let text = |name: &str| fs::read_to_string(bench.path(name)).unwrap();
    let csv = text("out/bench.csv");
    assert!(
        csv.contains("\n\"'=HYPERLINK(\"\"evil\"\")\",false,elements/s,5.0,"),
        "{csv}"
    );
    assert!(csv.contains("\n'@sum,false,"), "{csv}");
    let markdown = text("out/bench.md");
    assert!(
        markdown.contains("\n| a\\|b \\`c\\` \\<i\\>\\*d\\*\\</i\\> | elements/s |"),
        "{markdown}"
    );
    let json = bench.json("out/bench.json");
    let stored: Vec<&str> = json["benches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["work"].as_str().unwrap())
        .collect();
    for name in names {
        assert!(stored.contains(&name), "JSON has names as they are");
    }
}

#[test]
fn benches_of_which_none_is_a_workload_have_a_figure_too() {
    let bench = with_results();
    for name in ["W2_batch1000", "one_observation_reoptimise"] {
        fs::remove_dir_all(bench.path("criterion").join(name)).unwrap();
    }
    succeeds(&mut bench.amortgap(&COMMAND));
    let figure = fs::read_to_string(bench.path("out/throughput.svg")).unwrap();
    assert!(figure.contains("avx2-full"));
}

#[test]
fn baselines_beside_the_last_results_are_not_read() {
    let bench = with_results();
    let of = |name: &str| bench.path("criterion/W2_batch1000/points").join(name);
    fs::rename(of("new"), of("base")).unwrap();
    let (stdout, _) = succeeds(&mut bench.amortgap(&COMMAND));
    assert!(!stdout.contains("W2_batch1000"), "{stdout}");
}

#[test]
fn a_folder_without_results_is_refused_with_what_to_run() {
    let bench = Bench::with(DIGITS);
    fs::create_dir(bench.path("criterion")).unwrap();
    for folder in ["criterion", "missing"] {
        let message = refusal(&mut bench.amortgap(&["bench", "--criterion", folder]));
        assert_eq!(
            message,
            format!(
                "{folder}: there are no results of benches here; run scripts/bench, or name the folder that criterion wrote with --criterion"
            )
        );
    }
    assert!(
        !bench.path("results").exists(),
        "a refused command leaves nothing"
    );
}

#[test]
fn a_result_that_cannot_be_read_is_named_with_its_place() {
    let folder = "criterion/W2_batch1000/points/new";
    let with = |name: &str, content: Option<&str>| {
        let bench = with_results();
        let path = bench.path(folder).join(name);
        match content {
            Some(content) => fs::write(path, content).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        let message = refusal(&mut bench.amortgap(&COMMAND));
        assert!(message.ends_with("; run this bench again"), "{message}");
        assert!(
            !bench.path("out").exists(),
            "a refused command leaves nothing"
        );
        message
    };
    for (name, content, place) in [
        (
            "estimates.json",
            "{\"mean\":\n  {",
            ":2:3: is not what criterion writes: ",
        ),
        (
            "benchmark.json",
            "{}",
            ":1:2: is not what criterion writes: missing field `group_id`",
        ),
    ] {
        let message = with(name, Some(content));
        assert!(
            message.starts_with(&format!("{folder}/{name}{place}")),
            "{message}"
        );
    }
    let missing = with("estimates.json", None);
    assert!(
        missing.starts_with(&format!("{folder}/estimates.json: cannot be read: ")),
        "{missing}"
    );
    let estimate = r#"{"point_estimate": 0.0, "confidence_interval": {"confidence_level": 0.95, "lower_bound": 0.0, "upper_bound": 0.0}}"#;
    let no_time = with(
        "estimates.json",
        Some(&format!(r#"{{"mean": {estimate}}}"#)),
    );
    assert!(no_time.contains("a time that is not positive"), "{no_time}");
}

#[test]
fn a_table_in_a_folder_of_other_files_loses_none_of_them() {
    let bench = with_results();
    succeeds(&mut bench.amortgap(&COMMAND));
    let first = fs::read(bench.path("out/bench.json")).unwrap();
    let (_, stderr) = succeeds(&mut bench.amortgap(&COMMAND));
    assert_eq!(stderr, "", "the same table replaces itself");
    store(
        &bench,
        &["W2_batch1000", "points"],
        &json!({"Elements": 1000}),
        6e6,
    );
    let (_, stderr) = succeeds(&mut bench.amortgap(&COMMAND));
    let (said, why) = stderr.trim_end().split_once(": ").unwrap();
    assert_eq!(why, "they were measured before");
    let place = said.strip_prefix("earlier results are kept in ").unwrap();
    assert_eq!(
        fs::read(bench.path(place).join("bench.json")).unwrap(),
        first
    );
    assert_ne!(fs::read(bench.path("out/bench.json")).unwrap(), first);

    fs::create_dir(bench.path("mine")).unwrap();
    fs::write(bench.path("mine/bench.md"), "mine").unwrap();
    fs::write(bench.path("mine/provenance.json"), "{}").unwrap();
    let message =
        refusal(&mut bench.amortgap(&["bench", "--criterion", "criterion", "--out", "mine"]));
    assert!(
        message.starts_with("mine holds `bench.md` and no results of amortgap"),
        "{message}"
    );
    assert_eq!(
        fs::read_to_string(bench.path("mine/bench.md")).unwrap(),
        "mine"
    );
}
