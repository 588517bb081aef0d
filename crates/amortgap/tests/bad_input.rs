//! Every mistake in the input ends with exit status 2 and one line that names the place and says what to do.

#![cfg(feature = "compute")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use experiment::{Bench, DIGITS, edited, refusal, succeeds, texts};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use std::process::Command;

/// The message with which `run` refuses the small experiment with `old` replaced by `new`.
fn refused_edit(old: &str, new: &str) -> String {
    let bench = Bench::with(&edited(DIGITS, old, new));
    let message = refusal(&mut bench.run("out", &[]));
    assert!(!bench.path("out").exists(), "a refused run leaves nothing");
    message
}

/// The message with which `run` refuses these arguments.
fn refused_arguments(arguments: &[&str]) -> String {
    refusal(&mut Bench::with(DIGITS).run("out", arguments))
}

/// The message with which clap refuses these arguments, which has several lines.
fn refused_by_clap(arguments: &[&str]) -> String {
    let output = Bench::with(DIGITS).run("out", arguments).output().unwrap();
    let (_, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.starts_with("error: ") && !stderr.contains("panicked"),
        "{stderr}"
    );
    stderr
}

#[test]
fn a_wrong_key_or_value_is_named_with_its_line_and_column() {
    let counts = "is out of range; use a whole number from 1 to 4294967295";
    for (old, new, message) in [
        (
            "latent_dim = 4",
            "latent_dims = 4",
            "spec.toml:15:1: unknown key `model.latent_dims`, expected one of ".to_owned(),
        ),
        (
            "latent_dim = 4",
            "latent_dim = \"four\"",
            "spec.toml:15:14: `model.latent_dim`: invalid type: string \"four\", expected a whole number".to_owned(),
        ),
        (
            "hidden = [16]\nlikelihood",
            "hidden = [-16]\nlikelihood",
            format!("spec.toml:16:10: `model.hidden`: -16 {counts}"),
        ),
        (
            "hidden = [4]",
            "hidden = [0]",
            format!("spec.toml:32:10: `encoders[1].hidden`: 0 {counts}"),
        ),
        (
            "iw_samples = 200",
            "iw_samples = 0",
            format!("spec.toml:50:14: `estimators.iw_samples`: 0 {counts}"),
        ),
        (
            "question = \"Does it run?\"\n",
            "",
            "spec.toml:1:1: missing key `question`".to_owned(),
        ),
        (
            "steps = [1, 5]",
            "steps = [1, 5",
            "spec.toml:48:1: missing comma between array elements, expected `,`".to_owned(),
        ),
    ] {
        let found = refused_edit(old, new);
        assert!(found.starts_with(&message), "{found}\nis not\n{message}");
    }
}

#[test]
fn an_empty_list_of_encoders_is_refused_with_what_to_add() {
    let start = DIGITS.find("[[encoders]]").unwrap();
    let end = DIGITS.find("[encoder_training]").unwrap();
    let none = DIGITS.replace(&DIGITS[start..end], "");
    let bench = Bench::with(&edited(&none, "[data]", "encoders = []\n\n[data]"));
    assert_eq!(
        refusal(&mut bench.run("out", &[])),
        "spec.toml:6:12: `encoders` is empty; add at least one [[encoders]] with `kind = \"linear\"` or `kind = \"mlp\"`, an [ascents.NAME] to compare, or a [calibration]"
    );
}

#[test]
fn annealing_that_cannot_be_done_is_refused_before_anything_is_written() {
    let after = "iw_samples = 200\n";
    let counts = "is out of range; use a whole number from 1 to 4294967295";
    for (keys, message) in [
        (
            "[estimators.annealed]\ntemperatures = 0\nchains = 16\n",
            format!("53:16: `estimators.annealed.temperatures`: 0 {counts}"),
        ),
        (
            "[estimators.annealed]\ntemperatures = 9\nchains = 0\n",
            format!("54:10: `estimators.annealed.chains`: 0 {counts}"),
        ),
        (
            "[estimators.annealed]\ntemperatures = 9\nchains = 1\n",
            "54:10: `estimators.annealed.chains` is 1, from which no standard error can be had; use at least 2, as in 16".to_owned(),
        ),
        (
            "[estimators.annealed]\nchains = 2\nschedule = [0.0, 0.9]\n",
            "54:12: `estimators.annealed.schedule` must rise from 0 to 1, both of them in it, as in [0.0, 0.5, 1.0]".to_owned(),
        ),
        (
            "[estimators.adaptive]\ntarget_std_error_nats = 0.1\nmost_samples = 2000\nprior_share = 1.0\n",
            "55:15: `estimators.adaptive.prior_share` is 1; use a share from 0 to below 1, as in 0.1".to_owned(),
        ),
        (
            "[calibration]\n",
            "52:1: `calibration` is for `model.kind = \"linear-gaussian\"`, whose `log p(x)` is exact, and not for `model.kind = \"mlp-decoder\"`; use that, or remove the section".to_owned(),
        ),
    ] {
        let found = refused_edit(after, &format!("{after}\n{keys}"));
        assert_eq!(found, format!("spec.toml:{message}"));
    }
    let unknown = refused_edit(
        after,
        "iw_samples = 200\n[estimators.annealed]\ntemperatures = 9\nchains = 2\nschedule = \"cubic\"\n",
    );
    assert!(
        unknown.starts_with("spec.toml:54:12: `estimators.annealed.schedule`")
            && unknown.contains("\"cubic\"")
            && unknown.contains("`\"sigmoidal\"`"),
        "{unknown}"
    );
}

#[test]
fn a_spec_that_cannot_be_read_is_named() {
    let bench = Bench::with(DIGITS);
    for (name, why) in [("missing.toml", "No such file"), (".", "directory")] {
        for command in ["run", "plan"] {
            let message = refusal(&mut bench.amortgap(&[command, name]));
            let start = format!("{name}: cannot read this spec: ");
            assert!(
                message.starts_with(&start) && message.contains(why),
                "{message}"
            );
        }
    }
    fs::write(bench.path("latin1.toml"), b"name = \"\xe9\"").unwrap();
    let message = refusal(&mut bench.amortgap(&["run", "latin1.toml"]));
    assert!(message.contains("UTF-8"), "{message}");
}

#[test]
fn a_bad_override_is_quoted() {
    for (assignment, message) in [
        (
            "estimators.iw_samples",
            "write it as key=value, as in estimators.iw_samples=100",
        ),
        (
            "estimators.iw_sample=3",
            "unknown key `estimators.iw_sample`, expected one of `elbo_samples`, `iw_samples`, `adaptive`, `annealed`",
        ),
        (
            "encoders.7.hidden=[3]",
            "`7` is not an index into a list of 2",
        ),
    ] {
        for command in ["run", "plan"] {
            let bench = Bench::with(DIGITS);
            let found = refusal(&mut bench.amortgap(&[command, "spec.toml", "--set", assignment]));
            assert_eq!(found, format!("--set {assignment}: {message}"));
        }
    }
}

#[test]
fn data_that_does_not_fit_the_spec_is_refused_with_both_keys() {
    let grey = refused_edit("\"digits-binarized\"", "\"digits\"");
    assert!(
        grey.starts_with(
            "`data.name = \"digits\"` does not go with `model.likelihood`: the Bernoulli likelihood needs 0 or 1 (use a binarized data set), and the data holds 0."
        ),
        "{grey}"
    );
    assert_eq!(
        refused_edit("\"bernoulli\"", "\"learned-gaussian\""),
        "`model.likelihood = \"learned-gaussian\"` does not go with `data.name = \"digits-binarized\"`, which is black and white; use \"bernoulli\", or grey data"
    );
    assert_eq!(
        refused_edit("\"digits-binarized\"", "\"faces\""),
        "unknown data set `faces`; use one of `digits`, `digits-binarized`, `mnist`, `mnist-binarized`"
    );
    assert_eq!(
        refused_edit("measure_test = 40", "measure_test = 501"),
        "`data.measure_test` is 501, but the test part of `data.name = \"digits-binarized\"` has 500 points; set it to at most 500"
    );
    assert_eq!(
        refused_edit("measure_train = 40", "measure_train = 301"),
        "`data.measure_train` is 301, but the training part of `data.name = \"digits-binarized\"` has 300 points; set it to at most 300"
    );
    let more = refused_edit("train_points = 300", "train_points = 1298");
    assert!(
        more.ends_with("set `data.train_points` to at most 1297"),
        "{more}"
    );
    let mnist = edited(DIGITS, "\"digits-binarized\"", "\"mnist-binarized\"");
    let message = refusal(&mut Bench::with(&mnist).run("out", &[]));
    assert!(
        message
            .starts_with("`data.split_seed` does not apply to `data.name = \"mnist-binarized\"`"),
        "{message}"
    );
}

const IMAGES: &str = "train-images-idx3-ubyte";

/// An IDX file of images: `n` of 2 by 2 pixels.
fn idx(n: u32, pixels: &[u8]) -> Vec<u8> {
    let words = [0x0803, n, 2, 2];
    let header = words.iter().flat_map(|word| word.to_be_bytes());
    header.chain(pixels.iter().copied()).collect()
}

/// The message with which `run` refuses MNIST if the file `name` in the data folder, `DATA`, holds `bytes`.
fn refused_file(name: &str, bytes: &[u8]) -> String {
    let mnist = edited(
        DIGITS,
        "\"digits-binarized\"\nsplit_seed = 0",
        "\"mnist-binarized\"",
    );
    let bench = Bench::with(&mnist);
    fs::create_dir(bench.path("DATA")).unwrap();
    fs::write(bench.path("DATA").join(name), bytes).unwrap();
    refusal(&mut bench.run("out", &["--data-dir", "DATA"]))
}

#[test]
fn data_files_that_are_not_there_are_named_with_the_flag() {
    let binarized = [
        "--set",
        "data.name=mnist-binarized",
        "--set",
        "data.split_seed=0",
    ];
    let bench = Bench::with(&edited(DIGITS, "split_seed = 0\n", ""));
    fs::create_dir(bench.path("empty")).unwrap();
    let start = format!("{IMAGES}[.gz] is not in empty or empty/mnist; pass --data-dir");
    for command in [
        &mut bench.run("out", &["--set", binarized[1], "--data-dir", "empty"]),
        &mut bench.amortgap(&["data", "check", "mnist", "--data-dir", "empty"]),
    ] {
        let message = refusal(command);
        assert!(message.starts_with(&start), "{message}");
    }
    let message = refusal(&mut bench.run("out", &["--set", binarized[1]]));
    assert!(
        message.starts_with(
            "`mnist-binarized` is not built in and no folder was given; pass --data-dir"
        ),
        "{message}"
    );
}

#[test]
fn data_files_that_are_damaged_are_named_with_what_is_wrong() {
    let whole = idx(2, &[0, 64, 128, 255, 1, 2, 3, 4]);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&whole).unwrap();
    let gzip = gzip.finish().unwrap();
    let packed = format!("{IMAGES}.gz");
    let labels = [0, 0, 8, 1, 0, 0, 0, 2, 7, 3];
    for (name, bytes, parts) in [
        (
            IMAGES,
            &whole[..whole.len() - 1],
            ["promises 8 bytes of pixels, it has 7", "fetch it again"],
        ),
        (
            IMAGES,
            &whole[..9],
            ["its header needs 16 bytes, it has 9", "fetch it again"],
        ),
        (
            IMAGES,
            b"\x89PNG\r\n\x1a\n and more than a header",
            ["is not an IDX file", "use train-images"],
        ),
        (
            IMAGES,
            &labels,
            ["holds labels, not images", "use train-images-idx3-ubyte"],
        ),
        (
            IMAGES,
            &whole,
            ["not the published MNIST", "fetch it again"],
        ),
        (
            &packed,
            &gzip,
            ["not the published MNIST", "fetch it again"],
        ),
        (
            &packed,
            &gzip[..gzip.len() - 5],
            ["does not decompress as gzip", "fetch it again"],
        ),
        (
            &packed,
            &whole,
            ["does not decompress as gzip", "fetch it again"],
        ),
    ] {
        let message = refused_file(name, bytes);
        assert!(message.starts_with(&format!("DATA/{name} ")), "{message}");
        for part in parts {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn checking_a_file_of_other_bytes_ends_with_status_2_and_both_checksums() {
    let bench = Bench::with(DIGITS);
    for name in [IMAGES, "t10k-images-idx3-ubyte"] {
        fs::write(bench.path(name), idx(1, &[1, 2, 3, 4])).unwrap();
    }
    let output = bench
        .amortgap(&["data", "check", "mnist", "--data-dir", "."])
        .output()
        .unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stdout
            .lines()
            .filter(|line| line.starts_with("WRONG "))
            .count(),
        2
    );
    assert!(
        stderr.starts_with(&format!("error: ./{IMAGES} has sha256 ")),
        "{stderr}"
    );
    assert!(stderr.ends_with("; fetch it again\n"), "{stderr}");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named_with_the_flag() {
    let bench = Bench::with(DIGITS);
    let message = refusal(&mut bench.run("spec.toml/below", &[]));
    assert!(
        message.starts_with("cannot write to spec.toml/below: "),
        "{message}"
    );
    assert!(
        message.ends_with("choose another folder with --out"),
        "{message}"
    );
}

#[test]
fn a_folder_of_another_experiment_is_refused_by_its_name() {
    let bench = Bench::with(DIGITS);
    drop(gap_store::Store::open(&bench.path("out"), "another").unwrap());
    assert_eq!(
        refusal(&mut bench.run("out", &[])),
        "out holds the results of experiment `another`; choose another folder with --out"
    );
}

#[test]
fn a_gpu_that_is_not_there_is_refused_with_the_way_out() {
    if Command::new("nvidia-smi").output().is_ok() {
        eprintln!("skipped: this machine may have a GPU");
        return;
    }
    let message = refused_arguments(&["--device", "cuda:0"]);
    assert!(
        message.starts_with("device `cuda:0` is not there: "),
        "{message}"
    );
    assert!(message.contains("use `--device cpu`"), "{message}");
}

#[test]
fn flags_without_meaning_are_refused() {
    let device = refused_by_clap(&["--device", "gpu"]);
    assert!(
        device.contains("unknown device `gpu`; use `cpu` or `cuda:N`"),
        "{device}"
    );
    let jobs = refused_by_clap(&["--jobs", "0"]);
    assert!(jobs.contains("--jobs <N>"), "{jobs}");
    let flag = refused_by_clap(&["--iw-samples", "3"]);
    assert!(
        flag.contains("unexpected argument '--iw-samples'"),
        "{flag}"
    );
}

#[test]
fn a_folder_without_results_is_refused_by_report_and_status() {
    let bench = Bench::with(DIGITS);
    fs::create_dir(bench.path("empty")).unwrap();
    for folder in ["empty", "missing"] {
        let message = refusal(&mut bench.amortgap(&["report", folder]));
        assert!(
            message.starts_with(&format!("{folder}: there are no results here")),
            "{message}"
        );
        let message = refusal(&mut bench.amortgap(&["status", folder]));
        assert!(
            message.starts_with(&format!("{folder}: no run was started here")),
            "{message}"
        );
    }
    let two = ["report", "empty", "missing", "--out", "x"];
    assert!(refusal(&mut bench.amortgap(&two)).starts_with("--out takes the report of a single"));
    succeeds(&mut bench.amortgap(&["--help"]));
}
