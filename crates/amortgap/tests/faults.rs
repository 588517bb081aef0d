//! Runs whose files are damaged, whose disk is full, and which are killed: each ends with the numbers of an
//! undisturbed run, or says what is wrong.

#![cfg(feature = "compute")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use experiment::{Bench, DIGITS, edited, succeeds, summary, texts};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Instant;

/// A small experiment with one seed.
fn small() -> Bench {
    Bench::with(&edited(DIGITS, "seeds = [0, 1]", "seeds = [0]"))
}

/// The files in `folder` and the folders in it, in the order of their paths.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .flat_map(|path| match path.is_dir() {
            true => files_below(&path),
            false => vec![path],
        })
        .collect()
}

/// The digest of the numbers that a run published.
fn numbers(bench: &Bench, out: &str) -> String {
    let provenance = bench.json(&format!("{out}/provenance.json"));
    provenance["numbers"].as_str().unwrap().to_owned()
}

/// Asserts that the folder `out` has the results of `undisturbed`, with every file as it was written.
fn assert_same_results(bench: &Bench, out: &str, what: &str) {
    assert_eq!(
        summary(&bench.path(out)),
        summary(&bench.path("undisturbed")),
        "{what}"
    );
    assert_eq!(numbers(bench, out), numbers(bench, "undisturbed"), "{what}");
    let (stdout, _) = succeeds(&mut bench.amortgap(&["check", out]));
    assert!(!stdout.contains("damaged"), "{what}: {stdout}");
}

/// Bits are flipped, files cut, emptied, removed and exchanged, 30 of them before each of 10 runs.
#[test]
fn three_hundred_damaged_files_change_no_number_in_silence() {
    let bench = small();
    bench.summary_of_run("undisturbed", &[]);
    bench.summary_of_run("out", &[]);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut n_said = 0;
    for round in 0..10 {
        let files = files_below(&bench.path("out"));
        let earlier = bench.path("out/earlier");
        let aside = bench.path("out/.stages/damaged");
        let files: Vec<PathBuf> = files
            .into_iter()
            .filter(|file| !file.starts_with(&earlier) && !file.starts_with(&aside))
            .collect();
        let mut damaged = Vec::new();
        for _ in 0..30 {
            let file = &files[rng.random_range(0..files.len())];
            let Ok(mut bytes) = fs::read(file) else {
                continue;
            };
            let before = bytes.clone();
            match rng.random_range(0..10) {
                0 => bytes.clear(),
                1 => bytes.truncate(rng.random_range(0..=bytes.len())),
                2 => bytes = fs::read(&files[rng.random_range(0..files.len())]).unwrap_or_default(),
                3 => {
                    fs::remove_file(file).unwrap();
                    damaged.push(file.clone());
                    continue;
                }
                _ if bytes.is_empty() => bytes.push(b'x'),
                _ => {
                    let at = rng.random_range(0..bytes.len());
                    bytes[at] ^= 1 << rng.random_range(0..8);
                }
            }
            if bytes != before {
                fs::write(file, bytes).unwrap();
                damaged.push(file.clone());
            }
        }
        let (_, stderr) = succeeds(&mut bench.run("out", &[]));
        n_said += stderr
            .lines()
            .filter(|line| line.contains("damaged") || line.contains("not there"))
            .count();
        let what = format!("round {round}: {damaged:?}\n{stderr}");
        assert!(!stderr.contains("internal error"), "{what}");
        // What a finished folder no longer needs is not looked at; a check finds it, and a run makes it anew.
        fs::remove_file(bench.path("out/summary.json")).unwrap();
        succeeds(&mut bench.run("out", &[]));
        assert_same_results(&bench, "out", &what);
    }
    assert!(n_said >= 100, "only {n_said} of the damages were said");
}

#[test]
fn a_run_killed_at_any_moment_goes_on_to_the_same_numbers() {
    let bench = small();
    let clock = Instant::now();
    bench.summary_of_run("undisturbed", &[]);
    let whole = clock.elapsed();
    let mut killed = 0;
    for moment in 1..=10 {
        let out = format!("out-{moment}");
        let mut run = bench.run(&out, &["--jobs", "2"]);
        let run = run.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = run.spawn().unwrap();
        // The last moments are those in which results are published.
        sleep(whole.mul_f64(f64::from(moment) / 11.0));
        child.kill().unwrap();
        killed += u32::from(child.wait().unwrap().code().is_none());
        if bench.path(&out).join("records.parquet").is_file() {
            let report = bench.amortgap(&["report", &out]).output().unwrap();
            let (_, stderr) = texts(&report);
            assert!(report.status.code() == Some(0) || stderr.contains("run the experiment again"));
        }
        succeeds(&mut bench.run(&out, &[]));
        assert_same_results(&bench, &out, &format!("moment {moment}"));
        let left = files_below(&bench.path(&out)).into_iter();
        let left: Vec<PathBuf> = left
            .filter(|file| {
                let name = file.to_string_lossy();
                name.contains(".partial") || name.contains(".publishing") || name.ends_with(".new")
            })
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
    assert!(
        killed >= 5,
        "only {killed} of 10 runs were killed before they ended"
    );
}

/// Every file is limited to so many blocks of 512 bytes, as if the disk was full after them.
#[test]
fn a_limit_on_the_size_of_files_stops_a_run_with_one_error_and_the_next_goes_on() {
    let bench = small();
    bench.summary_of_run("undisturbed", &[]);
    for (i, blocks) in [0, 1, 4, 16, 64, 128].into_iter().enumerate() {
        let out = format!("out-{i}");
        let run = bench.run(&out, &["--jobs", "2"]);
        let program = run.get_program().to_string_lossy().into_owned();
        let arguments: Vec<String> = run
            .get_args()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        let script = format!("ulimit -f {blocks}; exec {program} {}", arguments.join(" "));
        let mut limited = Command::new("sh");
        limited.args(["-c", &script]).current_dir(bench.path(""));
        let output = limited.output().unwrap();
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{blocks} blocks: {stderr}");
        let last = stderr.lines().last().unwrap();
        assert!(
            last.starts_with("error: ") && last.contains(" are free: make room"),
            "{blocks} blocks: {stderr}"
        );
        assert!(!bench.path(&out).join("summary.json").exists());
        succeeds(&mut bench.run(&out, &[]));
        assert_same_results(&bench, &out, &format!("{blocks} blocks"));
    }
}

/// A disk in memory, of so many kilobytes, fills up while a run is at work, and is then made larger.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_a_run_with_one_error_and_the_next_goes_on() {
    let bench = small();
    bench.summary_of_run("undisturbed", &[]);
    for kilobytes in [4, 60, 120, 200, 300] {
        let out = format!("out-{kilobytes}");
        let run = bench.run(&out, &["--jobs", "2"]);
        let program = run.get_program().to_string_lossy().into_owned();
        let arguments: Vec<String> = run
            .get_args()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        let command = format!("{program} {}", arguments.join(" "));
        let script = format!(
            "mkdir disk {out}-kept && mount -t tmpfs -o size={kilobytes}k tmpfs disk && ln -sfn disk {out} || exit 77
            {command}; first=$?
            mount -o remount,size=64m disk || exit 77
            {command} > /dev/null || exit 78
            {program} check {out} > /dev/null || exit 79
            cp {out}/summary.json {out}/provenance.json {out}-kept
            exit $first"
        );
        let mut limited = Command::new("unshare");
        limited
            .args(["-rm", "sh", "-c", &script])
            .current_dir(bench.path(""));
        let Ok(output) = limited.output() else {
            println!("skipped: there is no `unshare`");
            return;
        };
        let (_, stderr) = texts(&output);
        if output.status.code() == Some(77) || stderr.starts_with("unshare: ") {
            println!("skipped: no disk in memory can be mounted here: {stderr}");
            return;
        }
        assert_eq!(output.status.code(), Some(1), "{kilobytes} kB: {stderr}");
        let error = stderr.lines().find(|line| line.starts_with("error: "));
        assert!(
            error.unwrap().contains(" are free: make room"),
            "{kilobytes} kB: {stderr}"
        );
        let kept = format!("{out}-kept");
        assert_eq!(
            summary(&bench.path(&kept)),
            summary(&bench.path("undisturbed"))
        );
        assert_eq!(numbers(&bench, &kept), numbers(&bench, "undisturbed"));
        fs::remove_dir(bench.path("disk")).unwrap();
    }
}
