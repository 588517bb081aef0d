//! Input that could be read but not worked with: counts beyond the machine, names that are no file names, and
//! numbers in results that no run records. It ends with exit status 2 and one line that names the key or the
//! column.

#![cfg(feature = "compute")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use experiment::{Bench, DIGITS, edited, refusal, succeeds};
use gap_schema::Record;
use gap_schema::parquet::{read_records, records_to_bytes};
use std::fs;
use std::process::Command;

/// What `run` and `plan` say of these overrides, which both refuse in the same words before anything is
/// written.
fn refused_by_both(text: &str, overrides: &[&str]) -> String {
    let bench = Bench::with(text);
    let set: Vec<&str> = overrides.iter().flat_map(|set| ["--set", set]).collect();
    let by_run = refusal(bench.run("out", &[]).args(&set));
    assert_eq!(
        refusal(bench.amortgap(&["plan", "spec.toml"]).args(&set)),
        by_run
    );
    assert!(!bench.path("out").exists(), "a refused run leaves nothing");
    by_run
}

const ANNEALED: &str = "\n[estimators.annealed]\ntemperatures = 5\nchains = 2\n";

#[test]
fn counts_beyond_the_machine_are_refused_by_their_key() {
    let annealed = format!("{DIGITS}{ANNEALED}");
    for (key, text) in [
        ("model.training.n_samples", DIGITS),
        ("encoder_training.n_samples", DIGITS),
        ("estimators.annealed.chains", &annealed),
    ] {
        let message = refused_by_both(text, &[&format!("{key}=4294967295")]);
        let start = format!("spec.toml: `{key}` is 4294967295, with which ");
        assert!(message.starts_with(&start), "{message}");
        assert!(message.contains(" of memory, and there is "), "{message}");
    }
    let points = "estimators.annealed.simulated_points";
    assert_eq!(
        refused_by_both(&annealed, &[&format!("{points}=4294967295")]),
        format!(
            "spec.toml: `{points}` is 4294967295, and the plan would have 171798714 stages; a plan has at most 100000, so use fewer"
        )
    );
}

#[test]
fn a_variant_beyond_the_machine_is_named() {
    let variants = "\n[variants.small]\n[variants.wide.model]\nhidden = [4294967295]\n";
    let message = refused_by_both(&format!("{DIGITS}{variants}"), &[]);
    let start = "spec.toml: variant `wide`: `model.hidden[0]` is 4294967295, with which ";
    assert!(message.starts_with(start), "{message}");
}

/// A limit on the address space, as batch systems set it, counts as memory.
#[test]
#[cfg(target_os = "linux")]
fn a_plan_may_use_no_more_memory_than_this_process() {
    let bench = Bench::with(DIGITS);
    let limited = |n_samples: &str| {
        let amortgap = bench.amortgap(&["plan", "spec.toml", "--set", n_samples]);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "ulimit -v 4000000; exec \"$0\" \"$@\""])
            .arg(amortgap.get_program())
            .args(amortgap.get_args())
            .current_dir(bench.path(""));
        shell
    };
    succeeds(&mut limited("encoder_training.n_samples=100"));
    // 50 datapoints with 10 million draws of 12 numbers each.
    let message = refusal(&mut limited("encoder_training.n_samples=10000000"));
    assert!(
        message.contains("takes at least 24.0 GB of memory"),
        "{message}"
    );
    assert!(message.contains("and there is 4.10 GB"), "{message}");
}

#[test]
fn there_are_no_more_workers_than_stages() {
    let bench = Bench::with(&edited(DIGITS, "seeds = [0, 1]", "seeds = [0]"));
    succeeds(&mut bench.run("out", &["--jobs", "100000000"]));
    let provenance = bench.json("out/provenance.json");
    assert_eq!(
        provenance["jobs"], 9,
        "a model, 2 searches, 2 encoders, 4 measurements"
    );
}

#[test]
fn names_that_are_too_long_or_begin_like_formulas_are_refused() {
    let long = "v".repeat(400);
    for name in [&long, "=cmd", "+1", "-1", "@sum"] {
        let variant = format!("{DIGITS}\n[variants.{name:?}]\n");
        let message = refused_by_both(&variant, &[]);
        assert!(message.starts_with("spec.toml:"), "{message}");
        assert!(
            message.contains(&format!("`variants.{name}` ")),
            "{message}"
        );
    }
    let deep = vec!["a"; 20_000].join(".");
    let message = refused_by_both(DIGITS, &[&format!("{deep}=1")]);
    assert!(message.ends_with("use at most 16"), "{message}");
}

/// The longest names, of variants that share a model and of one that does not, so that figures are named after
/// variants.
#[test]
fn results_of_the_longest_names_can_be_written() {
    let mut text = edited(DIGITS, "seeds = [0, 1]", "seeds = [0]").replace("= 40", "= 4");
    text = edited(&text, "latent_dim = 4", "latent_dim = 2");
    text += "\n[pictures]\npoints = 1\ncells = 10\n";
    let name = |last: char| format!("{}{last}", "v".repeat(99));
    for last in ['a', 'b', 'c'] {
        text += &format!("[variants.{}.estimators]\niw_samples = 100\n", name(last));
    }
    text += &format!("[variants.{}.model]\nhidden = [8]\n", name('d'));
    let bench = Bench::with(&text);
    succeeds(&mut bench.run("out", &["--jobs", "2"]));
    let figures = fs::read_dir(bench.path("out/figures")).unwrap();
    let figures = figures.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let figures: Vec<String> = figures
        .filter(|name| name.starts_with("posterior"))
        .collect();
    for end in [
        format!("-{}-and-2-more.svg", name('a')),
        format!("-{}.svg", name('d')),
    ] {
        assert!(
            figures.iter().any(|name| name.ends_with(&end)),
            "{figures:?}"
        );
    }
}

/// Writes the records of `out` after `damage` to one of them.
fn with_damaged_record(bench: &Bench, damage: impl Fn(&mut Record)) {
    let path = bench.path("out/records.parquet");
    let mut records = read_records(&path).unwrap();
    let damaged = records.iter_mut().find(|row| row.encoder.is_some());
    damage(damaged.unwrap());
    fs::write(&path, records_to_bytes(&records, "{}").unwrap()).unwrap();
    remove_digests(bench);
}

/// Makes the results in `out` those of an older program, in which damage is not noticed before numbers are read.
fn remove_digests(bench: &Bench) {
    let mut provenance = bench.json("out/provenance.json");
    let entries = provenance.as_object_mut().unwrap();
    entries.retain(|key, _| key != "files" && key != "digest");
    fs::write(bench.path("out/provenance.json"), provenance.to_string()).unwrap();
}

#[test]
fn numbers_that_no_run_records_are_named_with_their_file_and_column() {
    let ascents = "\n[ascents.adam]\nrule = \"adam\"\nmax_steps = 20\n";
    let text = edited(DIGITS, "seeds = [0, 1]", "seeds = [0]");
    let bench = Bench::with(&format!("{text}{ascents}"));
    succeeds(&mut bench.run("out", &[]));
    let whole = fs::read(bench.path("out/records.parquet")).unwrap();
    type Damage = fn(&mut Record);
    let columns: [(&str, Damage); 8] = [
        ("datapoint", |r| r.datapoint = u64::MAX),
        ("seed", |r| r.seed = u64::MAX),
        ("family_params", |r| r.family_params = u64::MAX),
        ("encoder_weights", |r| {
            r.encoder.as_mut().unwrap().weights = u64::MAX;
        }),
        ("n_samples", |r| r.n_samples = u64::MAX),
        ("estimate_joint_evaluations", |r| {
            r.diagnostics.joint_evaluations = u64::MAX;
        }),
        ("joint_gradients", |r| r.joint_gradients = u64::MAX / 2),
        ("fit_joint_gradients", |r| r.fit_joint_gradients = u64::MAX),
    ];
    for (column, damage) in columns {
        fs::write(bench.path("out/records.parquet"), &whole).unwrap();
        with_damaged_record(&bench, damage);
        let message = refusal(&mut bench.amortgap(&["report", "out"]));
        assert!(
            message.starts_with("out/records.parquet: row "),
            "{message}"
        );
        assert!(
            message.contains(&format!("column `{column}` has ")),
            "{message}"
        );
    }
    fs::write(bench.path("out/records.parquet"), &whole).unwrap();
    succeeds(&mut bench.amortgap(&["report", "out"]));

    remove_digests(&bench);
    let path = bench.path("out/ascents.csv");
    let csv = fs::read_to_string(&path).unwrap();
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    for column in [
        "n",
        "climbing",
        "above_tolerance",
        "other_optimum",
        "non_finite",
    ] {
        let place = header.iter().position(|name| *name == column).unwrap();
        let mut lines: Vec<String> = csv.lines().map(str::to_owned).collect();
        let mut cells: Vec<&str> = lines[2].split(',').collect();
        cells[place] = "18446744073709551615";
        lines[2] = cells.join(",");
        fs::write(&path, lines.join("\n")).unwrap();
        let message = refusal(&mut bench.amortgap(&["report", "out"]));
        let start = format!("out/ascents.csv: row 1: column `{column}` has 18446744073709551615, ");
        assert!(message.starts_with(&start), "{message}");
    }
}
