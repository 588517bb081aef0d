//! One experiment with several free-form protocols and several refinements: each of them is in the records, the
//! summary, the tables and the curves, and none takes the place of another.

#![cfg(feature = "compute")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use experiment::{Bench, DIGITS, cells, edited, number, refusal, succeeds};
use gap_schema::{Record, parquet};
use gap_spec::{Estimator, Method};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

/// Two protocols beside that of `q*`: the same search under another name, and a published one that is stopped long
/// before its own rule would; and two refinements beside the unnamed one.
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

"#;

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
    // `q*` and two protocols; for each of two encoders its `q`, and after 1, 5, 2, 20 and 2 steps.
    assert_eq!(distinct.len(), 20 * (3 + 2 * 6));
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
    assert_eq!(cells(&summary).len(), 4);
    for cell in cells(&summary) {
        // The same search on the same draws ends at the same `q`.
        let again = named(&cell["protocols"], "again");
        assert_eq!(number(again, "/optimisation_gap/mean_nats"), 0.0);
        assert_eq!(number(again, "/optimisation_gap/std_error_nats"), 0.0);
        assert_eq!(again["elbo"], cell["elbo_free_form"]);
        // The other one stops far from the optimum; the error of the paired difference is far below that of `L[q*]`.
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
    for curve in ["mlp-4", "mlp-4, adam", "linear, newton"] {
        assert!(by_steps.contains(&format!("\n{curve}\n")), "{curve}");
    }
}

#[test]
fn further_methods_leave_every_other_number_as_it_was() {
    let bench = Bench::with(&with_methods());
    let more = bench.summary_of_run("more", &[]);
    let start = METHODS.trim_start();
    let without = edited(&with_methods(), start, "");
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
    ] {
        let bench = Bench::with(&edited(&with_methods(), old, new));
        let refused = refusal(&mut bench.run("out", &[]));
        assert!(refused.ends_with(message), "{refused}");
        assert!(refused.starts_with("spec.toml:"), "{refused}");
    }
}
