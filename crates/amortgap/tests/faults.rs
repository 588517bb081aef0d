//! Runs whose files are damaged, whose disk is full, and which are killed: each ends with the numbers of an
//! undisturbed run, or says what is wrong.

#![cfg(feature = "compute")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use experiment::{Bench, DIGITS, edited, succeeds, summary, texts};
use gap_schema::results::ResultRows;
use gap_store::published::{self, Published};
use gap_store::{FileFault, FileFaultKind, StageState, StagesFolder, owner_fault};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A small experiment with one seed, and few points.
fn small() -> Bench {
    let one = edited(DIGITS, "seeds = [0, 1]", "seeds = [0]");
    Bench::with(&one.replace("= 40", "= 10"))
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
    assert_same_numbers(bench, out, "undisturbed", what);
    assert_eq!(faults(&bench.path(out)), [""; 0], "{what}");
}

/// Asserts that the numbers in the folder `out` are those of `reference`: those in its summary, and those in
/// its tables, whatever its manifest says of them.
fn assert_same_numbers(bench: &Bench, out: &str, reference: &str, what: &str) {
    let [found, expected] = [out, reference].map(|folder| summary(&bench.path(folder)));
    assert_eq!(found, expected, "{what}");
    assert_eq!(numbers(bench, out), numbers(bench, reference), "{what}");
    let folder = bench.path(out);
    let experiment = gap_spec::document::read(&folder.join("spec.toml"), &[]).unwrap();
    let rows = ResultRows::read(&folder, &experiment).unwrap();
    assert_eq!(
        rows.digest_of_numbers(),
        numbers(bench, reference),
        "{what}"
    );
}

/// What is damaged or not there in a folder of results, each with its path.
fn faults(folder: &Path) -> Vec<String> {
    let mut found = match published::read(folder) {
        Published::WithDigests { faults, .. } => faults,
        Published::DamagedManifest(fault) => vec![fault],
        Published::Nothing => vec![FileFault {
            path: folder.join("provenance.json"),
            kind: FileFaultKind::Missing,
        }],
        Published::WithoutDigests(_) => panic!("every manifest has digests"),
    };
    let stages = StagesFolder::in_results(folder);
    for name in stages.names().unwrap() {
        match stages.state(&name) {
            StageState::Damaged(fault) => found.push(fault),
            StageState::Finished => {}
            StageState::Missing => panic!("{name} is there"),
        }
    }
    found.extend(owner_fault(folder));
    found.iter().map(ToString::to_string).collect()
}

/// Copies a folder with all that is in it.
fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        match path.is_dir() {
            true => copy_folder(&path, &to),
            false => drop(fs::copy(&path, &to).unwrap()),
        }
    }
}

/// Damages one of `files`, and returns which. At least a byte is another afterwards, or the file is gone.
fn damage_one<'a>(files: &'a [PathBuf], rng: &mut ChaCha8Rng) -> &'a Path {
    loop {
        let file = &files[rng.random_range(0..files.len())];
        let before = fs::read(file).unwrap();
        let mut bytes = before.clone();
        match rng.random_range(0..10) {
            0 => bytes.clear(),
            1 => bytes.truncate(rng.random_range(0..=bytes.len())),
            2 => bytes = fs::read(&files[rng.random_range(0..files.len())]).unwrap(),
            3 => {
                fs::remove_file(file).unwrap();
                return file;
            }
            _ if bytes.is_empty() => bytes.push(b'x'),
            _ => {
                let at = rng.random_range(0..bytes.len());
                bytes[at] ^= 1 << rng.random_range(0..8);
            }
        }
        if bytes != before {
            fs::write(file, bytes).unwrap();
            return file;
        }
    }
}

/// The same JSON value, as after the newline at its end is lost, or a file in which only its lock counts.
fn means_the_same(damaged: &Path, before: &Path) -> bool {
    let json = |path: &Path| {
        fs::read(path)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
    };
    damaged.ends_with(".stages/lock") || json(before).is_some() && json(damaged) == json(before)
}

/// What a user does with a folder of which they do not know that it is damaged; nothing in two of six cases,
/// whose digests alone are looked at.
const COMMANDS: [&str; 6] = [
    "check OUT",
    "report OUT --format json",
    "run spec.toml --out OUT",
    // Published anew from all the stages, none of which depends on the question.
    "run spec.toml --out OUT --set question=Why?",
    "",
    "",
];

/// How often damages were found, and by which means.
#[derive(Debug, Default)]
struct Tally {
    damages: usize,
    found_by_digests: usize,
    said_by_command: usize,
    refused: usize,
    stages_executed_again: usize,
}

/// Bits are flipped, and files cut, emptied, removed and exchanged, one in a whole folder at a time. Then one
/// command is given, and its result compared at once.
#[test]
fn three_hundred_damages_change_no_number_in_silence() {
    let bench = small();
    bench.summary_of_run("undisturbed", &[]);
    bench.summary_of_run("question", &["--set", "question=Why?"]);
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let bench = &bench;
        let halves = [0, 1].map(|half| scope.spawn(move || damage_and_command(bench, half, 150)));
        halves.map(|half| half.join().unwrap()).into()
    });
    println!("{tallies:?}");
    let sum = |count: fn(&Tally) -> usize| tallies.iter().map(count).sum::<usize>();
    assert_eq!(sum(|tally| tally.damages), 300);
    assert!(sum(|tally| tally.said_by_command) >= 60, "{tallies:?}");
    assert!(sum(|tally| tally.refused) >= 1, "{tallies:?}");
    assert!(sum(|tally| tally.stages_executed_again) >= 5, "{tallies:?}");
}

fn damage_and_command(bench: &Bench, half: u64, n: usize) -> Tally {
    let mut rng = ChaCha8Rng::seed_from_u64(half);
    let mut tally = Tally::default();
    let out = format!("out-{half}");
    let whole = bench.path("undisturbed");
    for i in 0..n {
        let _ = fs::remove_dir_all(bench.path(&out));
        copy_folder(&whole, &bench.path(&out));
        // Half of them in stages, which have most of the files.
        let is_of_stage = rng.random();
        let files = files_below(&bench.path(&out)).into_iter();
        let files: Vec<PathBuf> = files
            .filter(|file| file.starts_with(bench.path(&out).join(".stages")) == is_of_stage)
            .collect();
        let file = damage_one(&files, &mut rng);
        tally.damages += 1;
        let path = file.strip_prefix(bench.path(&out)).unwrap();
        let found = faults(&bench.path(&out));
        let what = format!("{}, {}: {found:?}", path.display(), COMMANDS[i % 6]);
        if means_the_same(file, &whole.join(path)) {
            assert_eq!(found, [""; 0], "{what}");
        } else {
            // The fault of a stage whose manifest is damaged has the path of the manifest.
            let [fault] = &found[..] else {
                panic!("{what}")
            };
            assert!(fault.contains(&file.display().to_string()), "{what}");
            tally.found_by_digests += 1;
        }
        if COMMANDS[i % 6].is_empty() {
            continue;
        }
        let words = COMMANDS[i % 6].replace("OUT", &out);
        let words: Vec<&str> = words.split(' ').collect();
        let output = bench.amortgap(&words).output().unwrap();
        let (stdout, stderr) = texts(&output);
        let what = format!("{what}\n{stderr}");
        assert!(!stderr.contains("internal error"), "{what}");
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let is_said = format!("{stdout}{stderr}").contains(&format!("{name}: it "));
        tally.said_by_command += usize::from(is_said);
        tally.stages_executed_again += stderr.matches("the stage is set aside").count();
        match (i % 6, output.status.code()) {
            (0, status) => {
                assert_eq!(is_said, !found.is_empty(), "{what}");
                // Published files that are not there are no damage: records are large, and often not kept.
                let is_damage = |fault: &&String| {
                    is_of_stage || name == "provenance.json" || !fault.ends_with("it is not there")
                };
                let fails = found.iter().any(|fault| is_damage(&fault));
                assert_eq!(status, Some(i32::from(fails)), "{what}");
                continue;
            }
            (1, Some(2)) => {
                assert!(is_said || stderr.contains(&name), "{what}");
                tally.refused += 1;
                succeeds(&mut bench.run(&out, &[]));
            }
            (_, status) => assert_eq!(status, Some(0), "{what}"),
        }
        let reference = if i % 6 == 3 {
            "question"
        } else {
            "undisturbed"
        };
        assert_same_numbers(bench, &out, reference, &what);
        // A command makes anew what it reads; a check finds the rest.
        let remaining = faults(&bench.path(&out));
        let is_read = match i % 6 {
            1 => false,
            2 => !is_of_stage,
            _ => true,
        };
        assert!(
            remaining.is_empty() || !is_read && remaining == found,
            "{what}: {remaining:?}"
        );
    }
    tally
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
                name.contains(".partial") || name.contains(".amortgap-") || name.ends_with(".new")
            })
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
    assert!(
        killed >= 5,
        "only {killed} of 10 runs were killed before they ended"
    );
}

/// Results of other settings are published over those that are there, from finished stages, and the process is
/// killed at generated moments. Each of the two results is in the end in one place, whole.
#[test]
fn a_run_killed_while_it_publishes_changed_settings_loses_neither_result() {
    let bench = small();
    bench.summary_of_run("undisturbed", &[]);
    let changed = ["--set", "question=Why?"];
    copy_folder(&bench.path("undisturbed"), &bench.path("question"));
    let clock = Instant::now();
    bench.summary_of_run("question", &changed);
    let whole = clock.elapsed();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut killed, mut interrupted, mut were_published) = (0, 0, 0);
    for i in 0..20 {
        let _ = fs::remove_dir_all(bench.path("out"));
        copy_folder(&bench.path("undisturbed"), &bench.path("out"));
        let mut run = bench.run("out", &changed);
        let mut child = run
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if i % 2 == 0 {
            sleep(whole.mul_f64(rng.random_range(0.3..1.0)));
        } else {
            // As soon as it is decided that they are published, or a moment later.
            let decided = bench.path("out/.amortgap-publishing");
            while child.try_wait().unwrap().is_none() && !decided.exists() {}
            sleep(Duration::from_micros(rng.random_range(0..500)));
        }
        child.kill().unwrap();
        killed += u32::from(child.wait().unwrap().code().is_none());
        let what = format!("kill {i}");
        let is_decided = bench.path("out/.amortgap-publishing").is_dir();
        interrupted += u32::from(is_decided);
        if !is_decided {
            // It has not begun to replace anything, or is done.
            assert_eq!(faults(&bench.path("out")), [""; 0], "{what}");
        }
        let spec = |out: &str| fs::read_to_string(bench.path(out).join("spec.toml")).unwrap();
        were_published += u32::from(!is_decided && spec("out") == spec("question"));
        let (_, stderr) = succeeds(&mut bench.run("out", &changed));
        assert_same_numbers(&bench, "out", "question", &what);
        assert_eq!(faults(&bench.path("out")), [""; 0], "{what}");
        assert_eq!(spec("out"), spec("question"), "{what}");
        let earlier: Vec<_> = fs::read_dir(bench.path("out/earlier")).unwrap().collect();
        let [Ok(earlier)] = &earlier[..] else {
            panic!("{what}: {earlier:?}")
        };
        let name = earlier.file_name().into_string().unwrap();
        let earlier = format!("out/earlier/{name}");
        assert_same_numbers(&bench, &earlier, "undisturbed", &what);
        assert_eq!(spec(&earlier), spec("undisturbed"), "{what}");
        // Where it is said, unless the process that was killed had said it.
        assert!(
            stderr.contains(&name) || stderr.is_empty(),
            "{what}: {stderr}"
        );
        assert!(stderr.contains(&name) || !is_decided, "{what}: {stderr}");
    }
    println!("{killed} of 20 killed, {interrupted} while files moved, {were_published} after");
    assert!(
        killed >= 10,
        "only {killed} of 20 runs were killed before they ended"
    );
}

/// The program, and the command that runs the small experiment, as a shell reads them.
fn shell_command(bench: &Bench, out: &str) -> (String, String) {
    let run = bench.run(out, &["--jobs", "2"]);
    let program = run.get_program().to_string_lossy().into_owned();
    let arguments = run.get_args().map(|argument| argument.to_string_lossy());
    let arguments: Vec<_> = arguments.collect();
    let command = format!("{program} {}", arguments.join(" "));
    (program, command)
}

/// Every file is limited to so many blocks of 512 bytes, as if the disk was full after them.
#[test]
fn a_limit_on_the_size_of_files_stops_a_run_with_one_error_and_the_next_goes_on() {
    let bench = small();
    bench.summary_of_run("undisturbed", &[]);
    for (i, blocks) in [0, 1, 4, 16, 64, 128].into_iter().enumerate() {
        let out = format!("out-{i}");
        let (_, command) = shell_command(&bench, &out);
        let mut limited = Command::new("sh");
        limited
            .args(["-c", &format!("ulimit -f {blocks}; exec {command}")])
            .current_dir(bench.path(""));
        let output = limited.output().unwrap();
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{blocks} blocks: {stderr}");
        assert_says_that_room_is_missing(&stderr);
        assert!(!bench.path(&out).join("summary.json").exists());
        succeeds(&mut bench.run(&out, &[]));
        assert_same_results(&bench, &out, &format!("{blocks} blocks"));
    }
}

/// Asserts that the last line is an error that says how much room there is.
fn assert_says_that_room_is_missing(stderr: &str) {
    let last = stderr.lines().last().unwrap();
    assert!(
        last.starts_with("error: ") && last.contains(" are free: make room"),
        "{stderr}"
    );
}

/// Runs a script of a shell that may mount a disk in memory of `kilobytes` on the folder `disk`, and returns
/// its exit status and stderr; nothing where this is not allowed.
#[cfg(target_os = "linux")]
fn on_small_disk(bench: &Bench, kilobytes: u32, script: &str) -> Option<(Option<i32>, String)> {
    let script = format!(
        "mkdir disk && mount -t tmpfs -o size={kilobytes}k tmpfs disk || exit 77
        {script}"
    );
    let mut limited = Command::new("unshare");
    limited
        .args(["-rm", "sh", "-c", &script])
        .current_dir(bench.path(""));
    let Ok(output) = limited.output() else {
        println!("skipped: there is no `unshare`");
        return None;
    };
    let (_, stderr) = texts(&output);
    if output.status.code() == Some(77) || stderr.starts_with("unshare: ") {
        println!("skipped: no disk in memory can be mounted here: {stderr}");
        return None;
    }
    fs::remove_dir(bench.path("disk")).unwrap();
    Some((output.status.code(), stderr))
}

/// A disk in memory fills up while a run is at work, and is then made larger.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_a_run_with_one_error_and_the_next_goes_on() {
    let bench = small();
    bench.summary_of_run("undisturbed", &[]);
    for kilobytes in [4, 60, 120, 200, 300] {
        let (program, command) = shell_command(&bench, "disk/out");
        let kept = format!("kept-{kilobytes}");
        let script = format!(
            "{command}; first=$?
            mount -o remount,size=64m disk || exit 77
            {command} > /dev/null || exit 78
            {program} check disk/out > /dev/null || exit 79
            cp -r disk/out {kept}
            exit $first"
        );
        let Some((status, stderr)) = on_small_disk(&bench, kilobytes, &script) else {
            return;
        };
        assert_eq!(status, Some(1), "{kilobytes} kB: {stderr}");
        let error = stderr.lines().find(|line| line.starts_with("error: "));
        assert_says_that_room_is_missing(error.unwrap());
        assert_same_results(&bench, &kept, &format!("{kilobytes} kB"));
    }
}

/// A result that cannot be kept is not computed, whichever variant it belongs to.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_all_variants() {
    let one = edited(DIGITS, "seeds = [0, 1]", "seeds = [0]");
    let variants: String = (3..7)
        .map(|latent_dim| format!("[variants.v{latent_dim}.model]\nlatent_dim = {latent_dim}\n"))
        .collect();
    let bench = Bench::with(&format!("{one}\n{variants}"));
    let (_, command) = shell_command(&bench, "disk/out");
    let Some((status, stderr)) = on_small_disk(&bench, 60, &command) else {
        return;
    };
    assert_eq!(status, Some(1), "{stderr}");
    assert_says_that_room_is_missing(&stderr);
    // As many as were at work when the first found the disk full.
    assert!(stderr.matches(" FAILED: ").count() <= 2, "{stderr}");
    assert!(!stderr.contains("v4: "), "{stderr}");
}

/// There is no room for other results beside those that are published, and those are still whole; then there
/// is.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_results_that_could_not_be_replaced() {
    let bench = small();
    bench.summary_of_run("undisturbed", &[]);
    bench.summary_of_run("question", &["--set", "question=Why?"]);
    for spare in [0, 20, 100] {
        let (program, command) = shell_command(&bench, "disk/out");
        let [before, after] = ["before", "after"].map(|name| format!("{name}-{spare}"));
        let script = format!(
            "{command} 2> /dev/null > /dev/null || exit 78
            used=$(df --output=used disk | tail -n 1)
            mount -o remount,size=$((used + {spare}))k disk || exit 77
            {command} --set question=Why?; first=$?
            {program} check disk/out > /dev/null || exit 79
            cp -r disk/out {before}
            mount -o remount,size=64m disk || exit 77
            {command} --set question=Why? > /dev/null || exit 80
            cp -r disk/out {after}
            exit $first"
        );
        let Some((status, stderr)) = on_small_disk(&bench, 65536, &script) else {
            return;
        };
        let what = format!("{spare} kB: {stderr}");
        assert_eq!(status, Some(1), "{what}");
        let error = stderr.lines().find(|line| line.starts_with("error: "));
        assert_says_that_room_is_missing(error.unwrap());
        assert_same_results(&bench, &before, &what);
        assert!(!bench.path(&before).join("earlier").exists(), "{what}");
        assert_same_numbers(&bench, &after, "question", &what);
        let earlier: Vec<PathBuf> = fs::read_dir(bench.path(&after).join("earlier"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(earlier.len(), 1, "{what}");
        assert_eq!(
            summary(&earlier[0]),
            summary(&bench.path("undisturbed")),
            "{what}"
        );
    }
}
