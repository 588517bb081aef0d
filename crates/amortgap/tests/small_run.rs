//! A small run on digits: what it writes, and what its numbers do not depend on.

#![cfg(feature = "compute")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use approx::assert_abs_diff_eq;
use experiment::{Bench, DIGITS, cells, edited, joint, number, succeeds, summary};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

/// Every key that the summary must have for a cell of an encoder, except those in [`MEANS`].
const KEYS: [&str; 36] = [
    "/cell",
    "/dataset",
    "/split",
    "/seed",
    "/n",
    "/family",
    "/encoder/kind",
    "/encoder/hidden",
    "/encoder/weights",
    "/encoder/context",
    "/free_form_params",
    "/amortized_params",
    "/log_evidence/side",
    "/log_evidence/estimator",
    "/elbo_refined/steps",
    "/iw_free_form/n_samples",
    "/iw_amortized/n_samples",
    "/refinement/0/steps",
    "/refinement/0/seconds",
    "/refinement/0/joint_gradients",
    "/refinement/1/steps",
    "/refinement/1/seconds",
    "/refinement/1/joint_gradients",
    "/negative_gaps",
    "/unconverged",
    "/different_optima",
    "/non_finite",
    "/untrusted",
    "/max_remaining_nats",
    "/max_remaining_bound_nats",
    "/cost/amortized/seconds",
    "/cost/amortized/joint_gradients",
    "/cost/refined/seconds",
    "/cost/refined/joint_gradients",
    "/cost/free_form/seconds",
    "/cost/free_form/joint_gradients",
];

/// Every key that holds a mean with its standard error.
const MEANS: [&str; 13] = [
    "/log_evidence",
    "/elbo_free_form",
    "/elbo_amortized",
    "/elbo_refined",
    "/iw_free_form",
    "/iw_amortized",
    "/approximation_gap",
    "/amortization_gap",
    "/refined_gap",
    "/refinement/0/gap",
    "/refinement/1/gap",
    "/inference_gap",
    "/iw_gap",
];

fn holds_the_contract(cell: &Value) {
    for key in KEYS {
        let value = cell.pointer(key);
        assert!(value.is_some_and(|v| !v.is_null()), "{key} of {cell:#}");
    }
    for key in MEANS {
        assert!(number(cell, &format!("{key}/mean_nats")).is_finite());
        assert!(
            number(cell, &format!("{key}/std_error_nats")) > 0.0,
            "{key}"
        );
    }
    assert_abs_diff_eq!(
        number(cell, "/inference_gap/mean_nats"),
        number(cell, "/approximation_gap/mean_nats") + number(cell, "/amortization_gap/mean_nats"),
        epsilon = 1e-9
    );
    // A mean and a log standard deviation for each of 4 latent dimensions and 40 points.
    assert_eq!(cell["free_form_params"], json!(2 * 4 * 40));
    assert_eq!(cell["amortized_params"], cell["encoder"]["weights"]);
    assert_eq!(cell["n"], json!(40));
    assert_eq!(cell["non_finite"], json!(0));
    assert_eq!(cell["log_evidence"]["side"], json!("lower"));
    assert_eq!(cell["elbo_refined"]["steps"], json!(5));
    assert_eq!(cell["iw_free_form"]["n_samples"], json!(200));
    assert_eq!(cell["refinement"][0]["steps"], json!(1));
    assert_eq!(
        cell["refinement"][1]["gap"], cell["refined_gap"],
        "the last point of the path is the refined q"
    );
    assert!(cell.get("oracle").is_none());
}

/// The seed, encoder and split of each cell.
fn coordinates(summary: &Value) -> BTreeSet<(u64, String, String)> {
    let cells = cells(summary).iter().map(|cell| {
        let encoder = format!("{}{}", cell["encoder"]["kind"], cell["encoder"]["hidden"]);
        let split = cell["split"].as_str().unwrap().to_owned();
        (cell["seed"].as_u64().unwrap(), encoder, split)
    });
    cells.collect()
}

#[test]
fn a_run_leaves_every_file_and_every_key_of_the_contract() {
    let bench = Bench::with(DIGITS);
    let (stdout, stderr) = succeeds(&mut bench.run("out", &[]));
    assert!(stdout.contains("amortization") && stdout.contains("report: out/report.html"));
    assert_eq!(
        stderr.lines().count(),
        18,
        "a line for each stage: {stderr}"
    );
    assert!(stderr.lines().last().unwrap().starts_with("[18/18] seed "));

    for file in [
        "records.parquet",
        "spec.toml",
        "provenance.json",
        "report.html",
    ] {
        assert!(bench.path("out").join(file).is_file(), "{file}");
    }
    for figure in ["amortization-gap-by-encoder", "gap-by-refinement-steps"] {
        let path = bench.path("out/figures").join(figure);
        let svg = fs::read_to_string(path.with_extension("svg")).unwrap();
        assert!(svg.starts_with("<svg"), "{figure}");
        let png = fs::read(path.with_extension("png")).unwrap();
        assert!(png.starts_with(b"\x89PNG"), "{figure}");
    }

    let summary = bench.json("out/summary.json");
    assert_eq!(summary["schema"], json!(1));
    assert_eq!(summary["experiment"], json!("small-digits"));
    cells(&summary).iter().for_each(holds_the_contract);
    let mut expected = BTreeSet::new();
    for seed in [0, 1] {
        for encoder in ["\"linear\"[]", "\"mlp\"[4]"] {
            for split in ["train", "test"] {
                expected.insert((seed, encoder.to_owned(), split.to_owned()));
            }
        }
    }
    assert_eq!(coordinates(&summary), expected);
    assert_eq!(cells(&summary).len(), expected.len());

    let provenance = bench.json("out/provenance.json");
    assert_eq!(provenance["seeds"], json!([0, 1]));
    assert_eq!(provenance["device"], json!("cpu"));
    for key in ["commit", "libtorch", "cpu", "plan", "data_digest", "source"] {
        assert!(!provenance[key].as_str().unwrap().is_empty(), "{key}");
    }
}

#[test]
fn the_time_of_every_stage_is_in_the_results() {
    let bench = Bench::with(DIGITS);
    bench.summary_of_run("out", &[]);
    let raw = bench.json("out/summary.json");
    let costs = raw["cost"].as_array().unwrap();
    let n_stages: f64 = costs.iter().map(|cost| number(cost, "/n")).sum();
    assert_eq!(n_stages, 18.0, "{costs:?}");
    assert!(costs.iter().all(|cost| number(cost, "/seconds") > 0.0));
    let model = costs.iter().find(|cost| cost["stage"] == "model");
    assert_eq!(model.unwrap()["n"], json!(2), "one for each seed");
    let page = std::fs::read_to_string(bench.path("out/report.html")).unwrap();
    assert!(page.contains("Where the time of the run went"));
}

#[test]
fn no_number_depends_on_how_many_stages_run_at_a_time() {
    let bench = Bench::with(DIGITS);
    let one = bench.summary_of_run("one", &["--jobs", "1"]);
    assert_eq!(bench.summary_of_run("two", &["--jobs", "2"]), one);
    assert_eq!(bench.json("one/provenance.json")["jobs"], json!(1));
    assert_eq!(bench.json("two/provenance.json")["jobs"], json!(2));
}

#[test]
fn no_number_depends_on_how_work_is_divided() {
    // The 12 points are computed all at once, in batches and chunks that do not divide 12, and one at a time.
    let few = DIGITS
        .replace("measure_train = 40", "measure_train = 12")
        .replace("measure_test = 40", "measure_test = 12")
        .replace("seeds = [0, 1]", "seeds = [5]");
    let bench = Bench::with(&few);
    let divided = |key: &str, size: u32| {
        let assignment = format!("evaluation.{key}={size}");
        let out = format!("{key}-{size}");
        let summary = bench.summary_of_run(&out, &["--set", &assignment]);
        let provenance = fs::read(bench.path(&out).join("provenance.json")).unwrap();
        let provenance: Value = serde_json::from_slice(&provenance).unwrap();
        // The number of stages, in `cost`, does depend on it.
        [summary["cells"].clone(), provenance["numbers"].clone()]
    };
    let all = divided("batch_size", 100);
    assert_eq!(all[0][0]["n"], json!(12));
    for (key, size) in [
        ("batch_size", 7),
        ("batch_size", 1),
        ("chunk_size", 5),
        ("chunk_size", 1),
    ] {
        assert!(divided(key, size) == all, "{key} = {size}");
    }
}

#[test]
fn another_seed_gives_other_numbers() {
    let bench = Bench::with(&edited(DIGITS, "seeds = [0, 1]", "seeds = [0, 2]"));
    let summary = bench.summary_of_run("out", &[]);
    let of_seed = |seed: u64| -> Vec<&Value> {
        let cells = cells(&summary).iter();
        cells
            .filter(|cell| cell["seed"] == json!(seed))
            .map(|cell| &cell["elbo_free_form"]["mean_nats"])
            .collect()
    };
    assert_eq!(of_seed(0).len(), of_seed(2).len());
    assert!(of_seed(0).iter().all(|elbo| !of_seed(2).contains(elbo)));
}

#[test]
fn the_spec_that_a_run_leaves_gives_the_same_run_again() {
    let bench = Bench::with(DIGITS);
    let overrides = ["--set", "seeds=[1]", "--set", "estimators.iw_samples=50"];
    let first = bench.summary_of_run("first", &overrides);
    succeeds(&mut bench.amortgap(&["run", "first/spec.toml", "--out", "again"]));
    assert_eq!(summary(&bench.path("again")), first);
    let specs = ["first/spec.toml", "again/spec.toml"];
    let [a, b] = specs.map(|path| fs::read_to_string(bench.path(path)).unwrap());
    assert_eq!(a, b);
    assert!(a.contains("iw_samples = 50"), "overrides are in it: {a}");
}

#[test]
fn without_out_the_results_go_to_a_folder_of_the_experiments_name() {
    let bench = Bench::with(&edited(DIGITS, "seeds = [0, 1]", "seeds = [0]"));
    succeeds(&mut bench.amortgap(&["run", "spec.toml"]));
    assert!(bench.path("results/small-digits/summary.json").is_file());
}

#[test]
fn a_joint_decoder_is_fitted_anew_with_each_encoder() {
    let joint = edited(&joint(), "seeds = [0, 1]", "seeds = [0]");
    let bench = Bench::with(&joint);
    let summary = bench.summary_of_run("out", &[]);
    let cells = cells(&summary);
    assert_eq!(coordinates(&summary).len(), 4);
    let raw = bench.json("out/summary.json");
    raw["cells"]
        .as_array()
        .unwrap()
        .iter()
        .for_each(holds_the_contract);
    // Each encoder has its own model, and so its own optimum.
    for split in ["train", "test"] {
        let of_split: Vec<&Value> = cells.iter().filter(|c| c["split"] == split).collect();
        let [linear, mlp] = of_split[..] else {
            panic!("there are {} cells of {split}", of_split.len());
        };
        assert_ne!(linear["elbo_free_form"], mlp["elbo_free_form"]);
    }
    // A shared decoder gives one optimum for both encoders.
    let shared = Bench::with(&edited(DIGITS, "seeds = [0, 1]", "seeds = [0]"));
    let summary = shared.summary_of_run("out", &[]);
    let optima: BTreeSet<String> = experiment::cells(&summary)
        .iter()
        .map(|cell| format!("{}{}", cell["split"], cell["elbo_free_form"]))
        .collect();
    assert_eq!(optima.len(), 2, "one for each split");
}
