//! A FIFO, a device or an endless file in place of a file that is read: one line that names it, and status 2.

#![cfg(all(unix, feature = "compute"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use experiment::{Bench, DIGITS, edited, refusal, succeeds};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// Puts something in place of a file.
type Maker = fn(&Path);

/// What can be in place of a file, and its kind in messages.
const KINDS: [(Maker, &str); 3] = [
    (make_fifo, "a FIFO"),
    (make_link_to_zeros, "a device"),
    (make_folder, "a directory"),
];

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn make_link_to_zeros(path: &Path) {
    symlink("/dev/zero", path).unwrap();
}

fn make_folder(path: &Path) {
    fs::create_dir(path).unwrap();
}

/// Makes a sparse file of a terabyte, which takes no room.
fn make_endless(path: &Path) {
    fs::File::create(path).unwrap().set_len(1 << 40).unwrap();
}

#[test]
fn a_spec_that_is_no_file_is_refused() {
    for (make, kind) in KINDS {
        let bench = Bench::with(DIGITS);
        make(&bench.path("other.toml"));
        for command in ["run", "plan"] {
            assert_eq!(
                refusal(&mut bench.amortgap(&[command, "other.toml"])),
                format!(
                    "other.toml: cannot read this spec: it is {kind}, not a regular file; name an experiment, as in experiments/digits-capacity.toml"
                )
            );
        }
    }
    let bench = Bench::with(DIGITS);
    make_endless(&bench.path("other.toml"));
    let message = refusal(&mut bench.amortgap(&["plan", "other.toml"]));
    assert!(
        message.contains("it has more than 1048576 bytes"),
        "{message}"
    );
}

#[test]
fn a_spec_or_a_data_file_may_be_a_link() {
    let bench = Bench::with(DIGITS);
    symlink("spec.toml", bench.path("link.toml")).unwrap();
    succeeds(&mut bench.amortgap(&["plan", "link.toml"]));
    fs::write(bench.path("images"), b"no images, but a file").unwrap();
    symlink("images", bench.path("train-images-idx3-ubyte")).unwrap();
    let message = refusal(&mut bench.amortgap(&["data", "check", "mnist", "--data-dir", "."]));
    assert!(
        message.starts_with("t10k-images-idx3-ubyte[.gz] is not in"),
        "{message}"
    );
}

#[test]
fn a_data_file_that_is_no_file_is_refused() {
    let mnist = edited(
        DIGITS,
        "\"digits-binarized\"\nsplit_seed = 0",
        "\"mnist-binarized\"",
    );
    for name in ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"] {
        for (make, kind) in KINDS {
            let bench = Bench::with(&mnist);
            fs::create_dir(bench.path("data")).unwrap();
            make(&bench.path("data").join(name));
            for command in [
                &mut bench.run("out", &["--data-dir", "data"]),
                &mut bench.amortgap(&["data", "check", "mnist", "--data-dir", "data"]),
            ] {
                assert_eq!(
                    refusal(command),
                    format!(
                        "data/{name} cannot be read: it is {kind}, not a regular file; make it a regular file that you may read, or pass another --data-dir"
                    )
                );
            }
        }
        let bench = Bench::with(&mnist);
        fs::create_dir(bench.path("data")).unwrap();
        make_endless(&bench.path("data").join(name));
        let message = refusal(&mut bench.run("out", &["--data-dir", "data"]));
        assert!(
            message.starts_with(&format!("data/{name} is longer than the published file")),
            "{message}"
        );
    }
}

#[test]
fn a_bench_result_that_is_no_file_is_refused() {
    for name in ["benchmark.json", "estimates.json"] {
        for (make, kind) in KINDS {
            let bench = Bench::with(DIGITS);
            let folder = bench.path("criterion/group/function/new");
            fs::create_dir_all(&folder).unwrap();
            let benchmark = r#"{"group_id": "group", "full_id": "group/function"}"#;
            fs::write(folder.join("benchmark.json"), benchmark).unwrap();
            if name == "benchmark.json" {
                fs::remove_file(folder.join(name)).unwrap();
            }
            make(&folder.join(name));
            assert_eq!(
                refusal(&mut bench.amortgap(&["bench", "--criterion", "criterion"])),
                format!(
                    "criterion/group/function/new/{name}: cannot be read: it is {kind}, not a regular file; run this bench again"
                )
            );
        }
    }
}

#[test]
fn a_file_of_results_that_is_no_file_is_refused_by_report_and_status() {
    let small = edited(DIGITS, "seeds = [0, 1]", "seeds = [0]");
    let bench = Bench::with(&small);
    succeeds(&mut bench.run("out", &[]));
    let replaced = |name: &str, command: &str, make: Maker, why: [&str; 3]| {
        let (path, aside) = (bench.path("out").join(name), bench.path("aside"));
        let was_there = fs::rename(&path, &aside).is_ok();
        make(&path);
        let message = refusal(&mut bench.amortgap(&[command, "out"]));
        let place = if command == "status" { "out" } else { name };
        assert!(
            message.contains(place) && why.iter().any(|why| message.contains(why)),
            "{name}: {message}"
        );
        fs::remove_file(&path)
            .or_else(|_| fs::remove_dir(&path))
            .unwrap();
        if was_there {
            fs::rename(&aside, &path).unwrap();
        }
    };
    // The digest of a published file tells its size; other files have no place among the results.
    let foreign = "is not among the published files";
    for (make, kind) in KINDS {
        let why = format!("it is {kind}, not a regular file");
        let why = [&why, "it is not a regular file", foreign];
        for name in [
            "spec.toml",
            "provenance.json",
            "costs.json",
            "records.parquet",
            "ascents.csv",
            "calibration.csv",
            "pictures.csv",
        ] {
            replaced(name, "report", make, why);
        }
        replaced(".stages/experiment", "status", make, why);
        replaced(".stages/lock", "status", make, why);
    }
    for name in [
        "spec.toml",
        "provenance.json",
        "records.parquet",
        "ascents.csv",
    ] {
        let why = ["it has more than ", " bytes instead of ", foreign];
        replaced(name, "report", make_endless, why);
    }
    succeeds(&mut bench.amortgap(&["report", "out"]));
}
