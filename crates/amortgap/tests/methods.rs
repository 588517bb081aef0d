//! One experiment with several free-form protocols, refinements and objectives: each of them is in the records,
//! the summary, the tables and the curves, and none takes the place of another.

#![cfg(feature = "compute")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use experiment::{Bench, DIGITS, cells, edited, number, refusal, succeeds};
use gap_schema::{Record, parquet};
use gap_spec::{Estimator, Method};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

/// Two protocols beside that of `q*`: the same search under another name, and a published one that is stopped
/// long before its own rule would; two refinements beside the unnamed one; and two further objectives of one
/// network.
const METHODS: &str = r#"
[protocols.again]
starts = ["prior", "encoder"]
tolerance_nats = 0.02
max_steps = 150

[protocols.published]
protocol = "adam-cremer-2018"
max_steps = 300

[refinements.adam]
steps = [2, 20]
rule = "adam"

[refinements.newton]
steps = [2]
n_samples = 64

[[encoders]]
kind = "mlp"
hidden = [4]
objective = { kind = "importance-weighted", n_importance = 8 }

[[encoders]]
kind = "mlp"
hidden = [4]
objective = "reweighted-wake"

"#;

/// The names of the encoders.
const ENCODERS: [&str; 4] = [
    "linear",
    "mlp-4",
    "mlp-4-importance-weighted-8",
    "mlp-4-reweighted-wake-5",
];

fn with_methods() -> String {
    edited(
        DIGITS,
        "[estimators]\n",
        &format!("{METHODS}[estimators]\n"),
    )
    .replace("measure_train = 40", "measure_train = 10")
    .replace("measure_test = 40", "measure_test = 10")
    .replace("seeds = [0, 1]", "seeds = [0]")
}

/// The item of a list that has this name.
fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let mut items = list.as_array().unwrap().iter();
    items.find(|item| item["name"] == name).unwrap()
}

fn records(bench: &Bench, out: &str) -> Vec<Record> {
    parquet::read_records(&bench.path(out).join("records.parquet")).unwrap()
}

#[test]
fn every_method_is_in_the_records_the_summary_the_tables_and_the_curves() {
    let bench = Bench::with(&with_methods());
    let (stdout, _) = succeeds(&mut bench.run("out", &[]));
    let rows = records(&bench, "out");
    // An ELBO of each datapoint by each method: no two rows have the same coordinates.
    let elbos = rows.iter().filter(|row| row.estimator == Estimator::Elbo);
    let coordinates = elbos.map(|row| {
        let encoder = row.encoder.as_ref().map(|encoder| encoder.short_name());
        let method = (row.method, row.method_name.clone(), row.refinement_steps);
        (row.split, row.datapoint, encoder, method)
    });
    let coordinates: Vec<_> = coordinates.collect();
    let distinct: BTreeSet<_> = coordinates.iter().cloned().collect();
    assert_eq!(coordinates.len(), distinct.len());
    // `q*` and two protocols; for each of four encoders its `q`, and after 1, 5, 2, 20 and 2 steps.
    assert_eq!(distinct.len(), 20 * (3 + 4 * 6));
    let encoders: BTreeSet<String> = coordinates.iter().filter_map(|c| c.2.clone()).collect();
    assert_eq!(encoders, ENCODERS.map(str::to_owned).into());
    let names: BTreeSet<(Method, Option<&str>)> = rows
        .iter()
        .map(|row| (row.method, row.method_name.as_deref()))
        .collect();
    for (method, name) in [
        (Method::FreeForm, None),
        (Method::FreeForm, Some("again")),
        (Method::FreeForm, Some("published")),
        (Method::Refined, None),
        (Method::Refined, Some("adam")),
        (Method::Refined, Some("newton")),
    ] {
        assert!(names.contains(&(method, name)), "{method} {name:?}");
    }

    let summary = bench.json("out/summary.json");
    let names: BTreeSet<&str> = cells(&summary)
        .iter()
        .map(|cell| cell["cell"].as_str().unwrap())
        .collect();
    let expected = ENCODERS.map(|encoder| {
        ["test", "train"].map(|split| format!("seed=0/encoder={encoder}/split={split}"))
    });
    assert_eq!(
        names,
        expected.iter().flatten().map(String::as_str).collect()
    );
    for cell in cells(&summary) {
        // The same search on the same draws ends at the same `q`.
        let again = named(&cell["protocols"], "again");
        assert_eq!(number(again, "/optimisation_gap/mean_nats"), 0.0);
        assert_eq!(number(again, "/optimisation_gap/std_error_nats"), 0.0);
        assert_eq!(again["elbo"], cell["elbo_free_form"]);
        // The other one stops far from the optimum; the error of the paired difference is far below that of
        // `L[q*]`.
        let published = named(&cell["protocols"], "published");
        let gap = number(published, "/optimisation_gap/mean_nats");
        let difference =
            number(cell, "/elbo_free_form/mean_nats") - number(published, "/elbo/mean_nats");
        assert!(
            gap > 0.1 && (gap - difference).abs() < 1e-9,
            "{gap} {difference}"
        );
        let std_error = number(published, "/optimisation_gap/std_error_nats");
        assert!(std_error > 0.0 && std_error < gap, "{std_error}");
        assert!(number(published, "/optimisation_gap/mc_std_error_nats") > 0.0);
        assert_eq!(published["unconverged"], json!(10));
        assert!(number(published, "/mean_remaining_bound_nats") > 0.1);
        // Gaps are to `q*`, and their counts are those of its search.
        assert_eq!(cell["unconverged"], json!(0));
        assert_eq!(cell["protocols"].as_array().unwrap().len(), 2);

        assert_eq!(cell["refinements"].as_array().unwrap().len(), 2);
        let adam = named(&cell["refinements"], "adam");
        let newton = named(&cell["refinements"], "newton");
        let steps = |refinement: &Value| -> Vec<u64> {
            let points = refinement["points"].as_array().unwrap().iter();
            points
                .map(|point| point["steps"].as_u64().unwrap())
                .collect()
        };
        assert_eq!((steps(adam), steps(newton)), (vec![2, 20], vec![2]));
        assert_ne!(adam["points"][0]["gap"], newton["points"][0]["gap"]);
        assert_eq!(
            cell["elbo_refined"]["steps"],
            json!(5),
            "that of [refinement]"
        );
        let amortization = number(cell, "/amortization_gap/mean_nats");
        for (refinement, last) in [(adam, 1), (newton, 0)] {
            let left = number(refinement, &format!("/points/{last}/gap/mean_nats"));
            let elbo = number(refinement, "/elbo/mean_nats");
            assert!(left < 0.9 * amortization, "{left} of {amortization}");
            let q_star = number(cell, "/elbo_free_form/mean_nats");
            assert!((q_star - elbo - left).abs() < 1e-9);
        }
    }

    for text in [
        "again",
        "published",
        "refined, adam (steps)",
        "refined, newton (steps)",
    ] {
        assert!(stdout.contains(text), "{text} is not in {stdout}");
    }
    let page = fs::read_to_string(bench.path("out/report.html")).unwrap();
    assert!(page.contains("Other free-form protocols"));
    let figure = |name: &str| {
        let path = bench.path("out/figures").join(name).with_extension("svg");
        fs::read_to_string(path).unwrap()
    };
    let by_encoder = figure("amortization-gap-by-encoder");
    for curve in [
        "after refinement, test",
        "after refinement, adam, test",
        "after refinement, newton, train",
        "optimisation, again, test",
        "optimisation, published, train",
    ] {
        assert!(by_encoder.contains(&format!("\n{curve}\n")), "{curve}");
    }
    let by_steps = figure("gap-by-refinement-steps");
    for curve in [
        "mlp-4",
        "mlp-4, adam",
        "linear, newton",
        "mlp-4-reweighted-wake-5, adam",
    ] {
        assert!(by_steps.contains(&format!("\n{curve}\n")), "{curve}");
    }
    for encoder in ENCODERS {
        assert!(
            stdout.contains(&format!("\n{encoder} ")),
            "{encoder} in {stdout}"
        );
        assert!(by_encoder.contains(&format!("\n{encoder}\n")), "{encoder}");
    }
}

#[test]
fn an_objective_fits_another_encoder_and_its_cost_counts_all_its_draws() {
    let bench = Bench::with(&with_methods());
    let summary = bench.summary_of_run("out", &[]);
    let cell = |encoder: &str| {
        let name = format!("seed=0/encoder={encoder}/split=test");
        let mut all = cells(&summary).iter();
        all.find(|cell| cell["cell"] == name).unwrap()
    };
    let [_, elbo, weighted, wake] = ENCODERS.map(cell);
    assert_eq!(elbo["encoder"].get("objective"), None);
    assert_eq!(weighted["encoder"]["objective"], "importance-weighted-8");
    assert_eq!(wake["encoder"]["objective"], "reweighted-wake-5");
    for (cell, n_importance) in [(elbo, 1.0), (weighted, 8.0), (wake, 5.0)] {
        // 150 steps of 50 points.
        let gradients = number(cell, "/cost/encoder_fit/joint_gradients");
        assert_eq!(gradients, 150.0 * 50.0 * n_importance);
        assert_eq!(cell["encoder"]["weights"], elbo["encoder"]["weights"]);
        // All are measured against one `q*`.
        assert_eq!(cell["elbo_free_form"], elbo["elbo_free_form"]);
    }
    let gaps = [elbo, weighted, wake].map(|cell| number(cell, "/amortization_gap/mean_nats"));
    assert!(
        gaps[0] != gaps[1] && gaps[1] != gaps[2] && gaps[0] != gaps[2],
        "{gaps:?}"
    );
    // A fit by another objective is one too: its encoder is far better than the random weights that it starts
    // from.
    let unfitted = bench.summary_of_run(
        "unfitted",
        &["--set", "encoder_training.learning_rate=1e-9"],
    );
    for (cell, unfitted) in cells(&summary).iter().zip(cells(&unfitted)) {
        let [fitted, unfitted] = [cell, unfitted].map(|c| number(c, "/amortization_gap/mean_nats"));
        assert!(
            fitted < 0.7 * unfitted,
            "{}: {fitted} {unfitted}",
            cell["cell"]
        );
    }
}

#[test]
fn further_methods_leave_every_other_number_as_it_was() {
    let bench = Bench::with(&with_methods());
    let more = bench.summary_of_run("more", &[]);
    // Encoders of other objectives are cells of their own, and stay.
    let start = METHODS.find("[protocols.again]").unwrap();
    let end = METHODS.find("[[encoders]]").unwrap();
    let without = edited(&with_methods(), &METHODS[start..end], "");
    fs::write(bench.path("spec.toml"), without).unwrap();
    let fewer = bench.summary_of_run("fewer", &[]);
    for (more, fewer) in cells(&more).iter().zip(cells(&fewer)) {
        let mut more = more.clone();
        let entries = more.as_object_mut().unwrap();
        entries.remove("protocols").unwrap();
        entries.remove("refinements").unwrap();
        // These count the estimates of all methods.
        for key in [
            "untrusted",
            "untrusted_by_reason",
            "heavy_tails",
            "unexplained_negative_gaps",
        ] {
            entries.remove(key);
        }
        for (key, value) in entries {
            assert_eq!(Some(&*value), fewer.get(key), "{key}");
        }
    }
    let unnamed = |out: &str| {
        let rows = records(&bench, out).into_iter();
        let rows = rows.filter(|row| row.method_name.is_none());
        rows.map(|row| {
            (
                row.datapoint,
                row.method,
                row.estimator,
                row.value_nats.to_bits(),
            )
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(unnamed("more"), unnamed("fewer"));
}

#[test]
fn a_bad_name_or_a_name_twice_is_one_clear_error() {
    for (old, new, message) in [
        (
            "[protocols.again]",
            "[protocols.\"a/b\"]",
            "`protocols.a/b` must be called by letters, digits, `-`, `_` and `.`, and begin with a letter or a digit",
        ),
        (
            "[refinements.newton]",
            "[refinements.adam]",
            "duplicate key `adam`; keep one of the two",
        ),
        (
            "[protocols.again]",
            "[protocols.published]",
            "duplicate key `published`; keep one of the two",
        ),
        (
            "objective = \"reweighted-wake\"",
            "objective = \"elbo\"",
            "`encoders` has `mlp-4` twice; results could not tell them apart",
        ),
        (
            "n_importance = 8",
            "n_importance = 1",
            "`encoders[2].objective.n_importance` is 1, and one draw has nothing to be weighed against; use 2 or more",
        ),
    ] {
        let bench = Bench::with(&edited(&with_methods(), old, new));
        let refused = refusal(&mut bench.run("out", &[]));
        assert!(refused.ends_with(message), "{refused}");
        assert!(refused.starts_with("spec.toml:"), "{refused}");
    }
}
