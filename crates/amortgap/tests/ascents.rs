//! An experiment that compares ascents, on several problems.

#![cfg(feature = "compute")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use experiment::{Bench, edited, refusal, succeeds};
use serde_json::{Value, json};
use std::fs;

/// An experiment with two variants on data that comes with the program, and one on data that does not.
const ASCENTS: &str = r#"name = "small-ascents"
question = "Which is first?"
surprise = "Neither arrives."
seeds = [0]

[data]
name = "digits-binarized"
train_points = 300
measure_train = 5
measure_test = 20

[model]
kind = "mlp-decoder"
latent_dim = 4
hidden = [16]
decoder = "shared"

[model.training]
encoder_hidden = [16]
steps = 300
batch_size = 50
learning_rate = 5e-3
n_samples = 1

[free_form]
starts = ["prior", "encoder"]

[estimators]
elbo_samples = 256
iw_samples = 50

[ascents.default]
protocol = "default"

[ascents.short-adam]
rule = "adam"
noise = "fresh"
n_samples = 8
learning_rate = 0.05
max_steps = 15

[variants.z4]

[variants.z2.model]
latent_dim = 2

[variants.mnist.data]
name = "mnist-binarized"
"#;

/// The trace in `out`, without wall times.
fn trace(bench: &Bench, out: &str) -> Vec<gap_schema::TracePoint> {
    let path = bench.path(&format!("{out}/ascents.csv"));
    let mut trace: Vec<gap_schema::TracePoint> =
        gap_schema::rows_file::read_csv_rows(&path).unwrap();
    for point in &mut trace {
        point.seconds = 0.0;
    }
    trace
}

fn variants(rows: &Value) -> Vec<&str> {
    let rows = rows.as_array().unwrap().iter();
    let mut variants: Vec<&str> = rows.map(|row| row["variant"].as_str().unwrap()).collect();
    variants.dedup();
    variants
}

#[test]
fn ascents_are_followed_on_each_problem_whose_data_is_there() {
    let bench = Bench::with(ASCENTS);
    let (stdout, stderr) = succeeds(&mut bench.run("out", &["--jobs", "1"]));
    assert!(
        stderr.starts_with("variant mnist is left out: `mnist-binarized` is not built in"),
        "{stderr}"
    );
    assert!(stderr.contains("] z2: seed 0: ascent short-adam, 20 test points ("));
    assert!(stdout.contains("joint gradients to 0.01 nats"), "{stdout}");

    let summary = bench.json("out/summary.json");
    assert_eq!(variants(&summary["cells"]), ["z2", "z4"]);
    let ascents = summary["ascents"].as_array().unwrap();
    assert_eq!(variants(&summary["ascents"]), ["z2", "z4"]);
    // One for each of two problems, two starts and two ascents.
    assert_eq!(ascents.len(), 8);
    for ascent in ascents {
        let (name, end) = (&ascent["ascent"], &ascent["end"]);
        let to_go = end["nats_to_go"].as_f64().unwrap();
        if name == "default" {
            assert!(
                to_go.abs() < 0.01 && end["unfinished"] == json!(0),
                "{ascent}"
            );
            let spent = ascent["reached"]["joint_gradients"].as_f64().unwrap();
            assert!(
                spent <= end["joint_gradients"].as_f64().unwrap(),
                "{ascent}"
            );
        } else if ascent["start"] == "prior" {
            // Fifteen steps of at most 0.05 are too few to get from the prior to the optimum.
            assert!(to_go > 0.01 && ascent["reached"].is_null(), "{ascent}");
            assert_eq!(end["unfinished"], json!(20), "{ascent}");
            assert_eq!(end["joint_gradients"], json!(15.0 * 8.0), "{ascent}");
        }
    }

    let provenance = bench.json("out/provenance.json");
    assert_eq!(provenance["skipped_variants"], json!(["mnist"]));
    for variant in ["z2", "z4"] {
        assert!(provenance["variants"][variant]["data_digest"].is_string());
    }
    for variant in ["z2", "z4"] {
        for axis in ["time", "joint-gradients"] {
            let figure = bench.path(&format!("out/figures/ascent-by-{axis}-{variant}.svg"));
            assert!(figure.is_file(), "{}", figure.display());
        }
    }

    // Only the wall times depend on the number of workers.
    succeeds(&mut bench.run("again", &["--jobs", "2"]));
    assert_eq!(trace(&bench, "again"), trace(&bench, "out"));
}

#[test]
fn a_finished_comparison_is_published_again_without_being_run_again() {
    let bench = Bench::with(&edited(
        ASCENTS,
        "[variants.z2.model]\nlatent_dim = 2\n",
        "",
    ));
    succeeds(&mut bench.run("out", &[]));
    let summary = fs::read(bench.path("out/summary.json")).unwrap();
    let (stdout, _) = succeeds(&mut bench.run("out", &[]));
    assert!(stdout.starts_with("nothing to do: "), "{stdout}");

    fs::remove_file(bench.path("out/summary.json")).unwrap();
    succeeds(&mut bench.amortgap(&["report", "out", "--format", "json"]));
    assert_eq!(fs::read(bench.path("out/summary.json")).unwrap(), summary);

    // A run without its trace is not finished, but no stage is executed again.
    fs::remove_file(bench.path("out/ascents.csv")).unwrap();
    let (_, stderr) = succeeds(&mut bench.run("out", &[]));
    assert!(!stderr.contains("ascent default"), "{stderr}");
    assert_eq!(fs::read(bench.path("out/summary.json")).unwrap(), summary);
    assert!(bench.path("out/ascents.csv").is_file());

    let spec = fs::read_to_string(bench.path("out/spec.toml")).unwrap();
    fs::write(
        bench.path("out/spec.toml"),
        spec.replace("variants.z4", "variants.z5"),
    )
    .unwrap();
    assert_eq!(
        refusal(&mut bench.amortgap(&["report", "out"])),
        "out/spec.toml: it is damaged: its digest differs; run the experiment again, which publishes its results anew"
    );

    // Results of programs that wrote no digests are held against their spec.
    let mut provenance = bench.json("out/provenance.json");
    let entries = provenance.as_object_mut().unwrap();
    entries.retain(|key, _| key != "files" && key != "digest");
    fs::write(bench.path("out/provenance.json"), provenance.to_string()).unwrap();
    assert_eq!(
        refusal(&mut bench.amortgap(&["report", "out"])),
        "out: holds results of variant `z4`, which spec.toml beside them does not have; run the experiment again"
    );
}

#[test]
fn where_the_data_of_every_variant_is_missing_nothing_runs() {
    let start = ASCENTS.find("[variants.z4]").unwrap();
    let end = ASCENTS.find("[variants.mnist").unwrap();
    let bench = Bench::with(&ASCENTS.replace(
        &ASCENTS[start..end],
        "[variants.other.data]\nname = \"mnist\"\n\n",
    ));
    assert_eq!(
        refusal(&mut bench.run("out", &[])),
        "spec.toml: the data of every variant (other, mnist) lies in files; pass --data-dir with their folder"
    );
    assert!(!bench.path("out").exists());
}

#[test]
fn a_plan_names_the_variant_of_each_stage() {
    let bench = Bench::with(ASCENTS);
    let (stdout, _) = succeeds(&mut bench.amortgap(&["plan", "spec.toml"]));
    // A model, `q*` on two splits, the optima and two ascents, for each of three problems.
    assert!(stdout.starts_with("small-ascents: 18 stages\n"), "{stdout}");
    assert!(
        stdout.contains(" z2: seed 0: optima of 20 test points\n"),
        "{stdout}"
    );
    let (stdout, _) = succeeds(&mut bench.amortgap(&["plan", "spec.toml", "--json"]));
    let plan: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(variants(&plan["stages"]), ["z4", "z2", "mnist"]);
}
