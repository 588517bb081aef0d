//! Runs after one that finished, was stopped or killed, or lost files: finished stages are not run again.

#![cfg(feature = "compute")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use assert_cmd::cargo::cargo_bin;
use experiment::{Bench, DIGITS, edited, refusal, succeeds, summary, texts};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// The number of finished stages in a results folder.
fn finished_stages(out: &Path) -> usize {
    finished_of_kind(out, "")
}

/// The folders of stages whose names begin with `kind`; none before the results folder has any.
fn stages_of_kind(out: &Path, kind: &str) -> impl Iterator<Item = PathBuf> {
    let stages = fs::read_dir(out.join(".stages")).into_iter().flatten();
    let stages = stages.map(|entry| entry.unwrap().path());
    stages.filter(move |path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(kind)
    })
}

/// The number of finished stages whose names begin with `kind`.
fn finished_of_kind(out: &Path, kind: &str) -> usize {
    stages_of_kind(out, kind)
        .filter(|path| path.extension().is_none() && path.join("records.parquet").is_file())
        .count()
}

/// Starts a run, and returns when its first stage is finished and later ones are at work.
fn started(bench: &Bench, out: &str) -> Child {
    started_until(bench, out, "")
}

/// Starts a run, and returns when a stage whose name begins with `kind` is finished.
fn started_until(bench: &Bench, out: &str, kind: &str) -> Child {
    let mut run = bench.run(out, &["--jobs", "2"]);
    let mut child = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while finished_of_kind(&bench.path(out), kind) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        sleep(Duration::from_millis(2));
    }
    child
}

/// A spec whose run takes so long that the test has to end it.
fn endless() -> String {
    edited(DIGITS, "steps = 150\nbatch", "steps = 100000000\nbatch")
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    succeeds(Command::new("kill").args([&format!("-{name}"), &pid]));
}

#[test]
fn a_second_run_does_nothing_and_says_so() {
    let bench = Bench::with(DIGITS);
    let first = bench.summary_of_run("out", &[]);
    let written = || {
        let file = fs::metadata(bench.path("out/summary.json")).unwrap();
        file.modified().unwrap()
    };
    let before = written();
    let (stdout, stderr) = succeeds(&mut bench.run("out", &[]));
    assert_eq!(
        stdout,
        "nothing to do: all 18 stages of small-digits are finished in out (--fresh runs them again)\n"
    );
    assert_eq!(stderr, "");
    assert_eq!(written(), before);

    // A run with --fresh does everything again, and finds the same numbers.
    let (_, stderr) = succeeds(&mut bench.run("out", &["--fresh"]));
    assert_eq!(stderr.lines().count(), 18, "{stderr}");
    assert_ne!(written(), before);
    assert_eq!(summary(&bench.path("out")), first);
}

#[test]
fn a_lost_result_is_written_again_without_running_a_stage() {
    let bench = Bench::with(DIGITS);
    let first = bench.summary_of_run("out", &[]);
    for file in [
        "summary.json",
        "records.parquet",
        "report.html",
        "spec.toml",
        "provenance.json",
    ] {
        fs::remove_file(bench.path("out").join(file)).unwrap();
        let (stdout, stderr) = succeeds(&mut bench.run("out", &[]));
        assert!(
            stdout.contains("report: out/report.html"),
            "{file}: {stdout}"
        );
        assert_eq!(
            stderr,
            match file {
                // Without the manifest there is nothing to compare with.
                "provenance.json" => String::new(),
                _ => format!("out/{file}: it is not there; the results are published again\n"),
            },
            "no stage runs"
        );
        assert!(bench.path("out").join(file).is_file(), "{file}");
        assert_eq!(summary(&bench.path("out")), first);
    }
}

#[test]
fn a_new_question_is_published_without_running_a_stage() {
    let bench = Bench::with(DIGITS);
    bench.summary_of_run("out", &[]);
    let asks = edited(DIGITS, "Does it run?", "Does it hop?");
    fs::write(bench.path("spec.toml"), asks).unwrap();
    let (_, stderr) = succeeds(&mut bench.run("out", &[]));
    assert_eq!(stderr.lines().count(), 1, "no stage runs: {stderr}");
    assert!(
        stderr.ends_with(": `question` was \"Does it run?\" and is \"Does it hop?\"\n"),
        "{stderr}"
    );
    let page = fs::read_to_string(bench.path("out/report.html")).unwrap();
    assert!(page.contains("Does it hop?") && !page.contains("Does it run?"));
}

#[test]
fn a_changed_estimator_keeps_the_fits() {
    let bench = Bench::with(DIGITS);
    bench.summary_of_run("out", &[]);
    let more = ["--set", "estimators.iw_samples=50"];
    let (_, stderr) = succeeds(&mut bench.run("out", &more));
    let stages = stderr.lines().filter(|line| line.starts_with('['));
    assert_eq!(stages.count(), 12, "{stderr}");
    assert!(
        stderr.ends_with(": `estimators.iw_samples` was 200 and is 50\n"),
        "{stderr}"
    );
    assert!(
        !stderr.contains("fit") && !stderr.contains("model"),
        "{stderr}"
    );
    // A run in another folder has the same results, so nothing of the first run is left in them.
    let elsewhere = bench.summary_of_run("elsewhere", &more);
    assert_eq!(summary(&bench.path("out")), elsewhere);
}

#[test]
fn a_killed_run_goes_on_to_the_same_results() {
    let bench = Bench::with(DIGITS);
    let undisturbed = bench.summary_of_run("undisturbed", &[]);
    let mut child = started(&bench, "killed");
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "a signal ended it");
    assert!(!bench.path("killed/summary.json").exists());
    let finished = finished_stages(&bench.path("killed"));
    let status = bench.status("killed");
    assert!(
        status.starts_with(&format!("small-digits: {finished} stages finished, ")),
        "{status}"
    );
    assert!(
        status.ends_with("results are not published yet\n"),
        "{status}"
    );

    let (_, stderr) = succeeds(&mut bench.run("killed", &[]));
    assert_eq!(stderr.lines().count(), 18 - finished, "{stderr}");
    assert_eq!(summary(&bench.path("killed")), undisturbed);
    assert_eq!(
        bench.status("killed"),
        "small-digits: 18 stages finished, 0 begun and not finished, results are published\n"
    );
}

/// The content of a scratch file of the only stage that has one; `None` if there is none.
fn checkpoint(out: &Path, name: &str) -> Option<Vec<u8>> {
    let stages = fs::read_dir(out.join(".stages/scratch")).ok()?;
    let files = stages.map(|stage| stage.unwrap().path().join(name));
    files.into_iter().find_map(|file| fs::read(file).ok())
}

/// Starts the run `n` times, and kills it each time a little after it has saved another checkpoint of the name `name`.
fn kill_after_checkpoints(bench: &Bench, out: &str, name: &str, n: u64) {
    let folder = bench.path(out);
    let mut before = None;
    for death in 0..n {
        let mut run = bench.run(out, &["--jobs", "2", "--checkpoint-seconds", "0"]);
        let run = run.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = run.spawn().unwrap();
        let mut latest = checkpoint(&folder, name);
        while latest.is_none() || latest == before {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            sleep(Duration::from_millis(2));
            latest = checkpoint(&folder, name);
        }
        sleep(Duration::from_millis(7 * death));
        child.kill().unwrap();
        child.wait().unwrap();
        before = checkpoint(&folder, name);
        assert!(before.is_some(), "the checkpoint is kept");
    }
}

/// The files of safetensors of all stages whose names begin with `kind`.
fn tensors_of_kind(out: &Path, kind: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = stages_of_kind(out, kind).flat_map(|stage| fs::read_dir(stage).unwrap());
    let files = files.map(|file| file.unwrap().path());
    let mut tensors: Vec<(PathBuf, Vec<u8>)> = files
        .filter(|file| file.extension().is_some_and(|end| end == "safetensors"))
        .map(|file| {
            (
                file.strip_prefix(out).unwrap().to_owned(),
                fs::read(&file).unwrap(),
            )
        })
        .collect();
    tensors.sort();
    tensors
}

#[test]
fn a_joint_fit_killed_at_ten_moments_makes_the_decoder_of_an_undisturbed_one() {
    let one_seed = edited(DIGITS, "seeds = [0, 1]", "seeds = [0]");
    let longer = edited(&one_seed, "steps = 200", "steps = 60000");
    let bench = Bench::with(&longer);
    let undisturbed = bench.summary_of_run("undisturbed", &[]);
    kill_after_checkpoints(&bench, "killed", "fit", 10);
    let killed = bench.path("killed");
    assert_eq!(finished_of_kind(&killed, "model"), 0);
    // After the digest of a checkpoint stands the wall time up to it.
    let latest = checkpoint(&killed, "fit").unwrap();
    let earlier = f64::from_le_bytes(latest[32..40].try_into().unwrap());
    assert_eq!(bench.summary_of_run("killed", &[]), undisturbed);
    let model = stages_of_kind(&killed, "model").next();
    let seconds = fs::read_to_string(model.unwrap().join("seconds")).unwrap();
    assert!(earlier > 0.0 && seconds.parse::<f64>().unwrap() > earlier);
    let decoders = tensors_of_kind(&bench.path("undisturbed"), "model");
    assert!(!decoders.is_empty());
    assert_eq!(tensors_of_kind(&killed, "model"), decoders);
    let scratch = fs::read_dir(killed.join(".stages/scratch")).unwrap();
    assert_eq!(scratch.count(), 0, "finished stages keep nothing there");
}

#[test]
fn a_killed_search_goes_on_with_the_points_that_are_left() {
    let one_seed = edited(DIGITS, "seeds = [0, 1]", "seeds = [0]");
    let batches = format!("{one_seed}\n[evaluation]\nbatch_size = 5\n");
    let more = edited(&batches, "measure_test = 40", "measure_test = 200");
    let slower = edited(&more, "elbo_samples = 100", "elbo_samples = 10000");
    let bench = Bench::with(&slower);
    let undisturbed = bench.summary_of_run("undisturbed", &[]);
    kill_after_checkpoints(&bench, "killed", "search", 3);
    assert_eq!(bench.summary_of_run("killed", &[]), undisturbed);
    let optima = tensors_of_kind(&bench.path("undisturbed"), "free-form");
    assert_eq!(tensors_of_kind(&bench.path("killed"), "free-form"), optima);
}

#[test]
fn a_run_killed_while_it_anneals_keeps_the_chunks_that_are_done() {
    let annealed =
        "\n[estimators.annealed]\ntemperatures = 200\nchains = 8\nsimulated_points = 60\n";
    let few = edited(DIGITS, "seeds = [0, 1]", "seeds = [0]");
    let more = edited(&few, "measure_test = 40", "measure_test = 220");
    let bench = Bench::with(&format!("{more}{annealed}"));
    let undisturbed = bench.summary_of_run("undisturbed", &[]);
    let mut child = started_until(&bench, "killed", "annealed");
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = bench.path("killed");
    assert!(!killed.join("summary.json").exists());
    let kept = finished_of_kind(&killed, "annealed");
    assert!((1..6).contains(&kept), "{kept} of 6 chunks are done");
    let finished = finished_stages(&killed);
    let (_, stderr) = succeeds(&mut bench.run("killed", &[]));
    // 17 stages: the model, `q*` on 2 splits, 1 + 5 annealed chunks of the data, 2 simulated chunks with both
    // bounds, and 3 stages for each of 2 encoders.
    assert_eq!(stderr.lines().count(), 17 - finished, "{stderr}");
    assert_eq!(stderr.matches("anneal ").count(), 6 - kept, "{stderr}");
    assert_eq!(summary(&killed), undisturbed);
    let [a, b] = ["undisturbed", "killed"].map(|out| {
        let records = gap_schema::parquet::read_records(&bench.path(out).join("records.parquet"));
        let values = records.unwrap().into_iter().map(|r| r.value_nats.to_bits());
        values.collect::<Vec<u64>>()
    });
    assert_eq!(a, b);
}

#[test]
fn an_interrupted_run_says_how_to_go_on_and_ends_with_status_130() {
    // Several times, since a crash at exit while workers compute would not happen every time.
    for (i, name) in ["INT", "TERM", "INT", "INT"].into_iter().enumerate() {
        let bench = Bench::with(&endless());
        let out = format!("out-{i}");
        let child = started(&bench, &out);
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(130), "{name}: {stderr}");
        assert_eq!(stdout, "");
        assert_eq!(
            stderr.lines().last().map(str::to_owned),
            Some(format!(
                "interrupted; finished stages are kept; to go on: {} run spec.toml --out {out} --jobs 2",
                cargo_bin("amortgap").display()
            ))
        );
        assert!(finished_stages(&bench.path(&out)) > 0);
    }
}

#[test]
fn runs_at_a_time_share_a_folder_and_a_fresh_one_is_refused_meanwhile() {
    let bench = Bench::with(&endless());
    let mut child = started(&bench, "out");
    let output = bench.run("out", &["--fresh"]).output().unwrap();
    let status = bench.status("out");
    // It must be ended before any assertion can fail.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        texts(&output).1,
        "error: out is in use by another run; wait for it, or choose another folder with --out\n"
    );
    assert!(status.ends_with(", a run is at work\n"), "{status}");

    let bench = Bench::with(DIGITS);
    let undisturbed = bench.summary_of_run("undisturbed", &[]);
    let runs: Vec<Child> = (0..3)
        .map(|_| {
            let mut run = bench.run("shared", &["--jobs", "1"]);
            let run = run.stdout(Stdio::piped()).stderr(Stdio::piped());
            run.spawn().unwrap()
        })
        .collect();
    let executed: usize = runs
        .into_iter()
        .map(|run| {
            let output = run.wait_with_output().unwrap();
            let (_, stderr) = texts(&output);
            assert_eq!(output.status.code(), Some(0), "{stderr}");
            stderr.lines().filter(|line| line.starts_with('[')).count()
        })
        .sum();
    assert_eq!(executed, 18, "no stage is executed twice");
    assert_eq!(summary(&bench.path("shared")), undisturbed);
    assert!(!bench.path("shared/earlier").exists());
}

/// The one folder of earlier results in `out`.
fn earlier(bench: &Bench, out: &str) -> String {
    let found: Vec<_> = fs::read_dir(bench.path(out).join("earlier"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let [name] = &found[..] else {
        panic!("{found:?}")
    };
    format!("{out}/earlier/{name}")
}

#[test]
fn a_report_in_a_folder_of_other_results_keeps_them() {
    let one = edited(DIGITS, "seeds = [0, 1]", "seeds = [0]");
    let bench = Bench::with(&one);
    succeeds(&mut bench.run("out", &[]));
    succeeds(&mut bench.run("other", &["--set", "estimators.iw_samples=50"]));
    let records = |folder: &str| fs::read(bench.path(folder).join("records.parquet")).unwrap();
    let before = records("other");
    let report = ["report", "out", "--out", "other"];
    let (_, stderr) = succeeds(&mut bench.amortgap(&report));
    let kept = earlier(&bench, "other");
    assert_eq!(
        stderr,
        format!("earlier results are kept in {kept}: they are of another run\n")
    );
    assert_eq!(records(&kept), before);
    let (checked, _) = succeeds(&mut bench.amortgap(&["check", &kept]));
    assert!(
        checked.contains("9 of 9 files are as published"),
        "{checked}"
    );
    // Once more there is nothing to keep; and a report joins a copy of its own results.
    let (_, stderr) = succeeds(&mut bench.amortgap(&report));
    assert_eq!(stderr, "");
    succeeds(
        Command::new("cp")
            .args(["-r", "out", "copy"])
            .current_dir(bench.path("")),
    );
    let (_, stderr) = succeeds(&mut bench.amortgap(&["report", "out", "--out", "copy"]));
    assert_eq!(stderr, "");
    let (checked, _) = succeeds(&mut bench.amortgap(&["check", "copy"]));
    assert!(
        checked.contains("9 of 9 files are as published"),
        "{checked}"
    );

    // The stages are still there, from which a run publishes what a report has replaced.
    let (_, stderr) = succeeds(&mut bench.run("other", &["--set", "estimators.iw_samples=50"]));
    assert!(!stderr.contains('['), "no stage is executed: {stderr}");
    assert_eq!(summary(&bench.path("other")), summary(&bench.path(&kept)));
}

#[test]
fn a_report_and_a_run_refuse_a_folder_of_files_that_are_not_ours() {
    let bench = Bench::with(&edited(DIGITS, "seeds = [0, 1]", "seeds = [0]"));
    succeeds(&mut bench.run("out", &[]));
    fs::create_dir(bench.path("mine")).unwrap();
    let files = [
        ("provenance.json", "{\"who\": \"mine\"}"),
        ("report.html", "mine"),
    ];
    for (name, text) in files {
        fs::write(bench.path("mine").join(name), text).unwrap();
    }
    for command in [
        &mut bench.amortgap(&["report", "out", "--out", "mine"]),
        &mut bench.run("mine", &[]),
    ] {
        assert_eq!(
            refusal(command),
            "mine holds `provenance.json` and no results of amortgap; choose an empty or a new folder with --out"
        );
        assert_eq!(fs::read_dir(bench.path("mine")).unwrap().count(), 2);
        for (name, text) in files {
            assert_eq!(
                fs::read_to_string(bench.path("mine").join(name)).unwrap(),
                text
            );
        }
    }
    // Neither a FIFO nor a link is written to, or waited for.
    let lock = bench.path("out/.amortgap-publishing.lock");
    succeeds(Command::new("mkfifo").arg(&lock));
    let message = refusal(&mut bench.amortgap(&["report", "out"]));
    assert!(
        message.starts_with("out/.amortgap-publishing.lock is a FIFO, "),
        "{message}"
    );
    fs::remove_file(&lock).unwrap();
    std::os::unix::fs::symlink("../mine/report.html", &lock).unwrap();
    let message = refusal(&mut bench.amortgap(&["report", "out"]));
    assert!(message.contains("is a link to elsewhere"), "{message}");
    fs::remove_file(&lock).unwrap();
    assert_eq!(
        fs::read_to_string(bench.path("mine/report.html")).unwrap(),
        "mine"
    );
    succeeds(Command::new("mkfifo").arg(bench.path("out/.stages/claims/zz")));
    assert!(bench.status("out").ends_with(", results are published\n"));
}
