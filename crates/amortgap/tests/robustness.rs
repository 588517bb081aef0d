//! The program in bad surroundings: closed or full outputs, ignored signals, limits on memory and file sizes,
//! a deleted working folder, and environment variables with wrong values.

#![cfg(all(feature = "compute", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use assert_cmd::cargo::cargo_bin;
use experiment::{Bench, DIGITS, edited, refusal, succeeds, summary, texts};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// The small experiment with one seed.
fn one_seed() -> String {
    edited(DIGITS, "seeds = [0, 1]", "seeds = [0]")
}

/// A shell that runs `script` in the folder of `bench`, with the program and `arguments` as its `"$@"`.
fn shell(bench: &Bench, script: &str, arguments: &[&str]) -> Command {
    let program = cargo_bin("amortgap");
    let mut shell = Command::new("/bin/sh");
    shell
        .current_dir(bench.path(""))
        .args(["-c", script, "sh"])
        .arg(program)
        .args(arguments)
        .env_remove("AMORTGAP_MATH_SWITCH");
    shell
}

/// The exit status, stdout and stderr of a command.
fn ended(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let (stdout, stderr) = texts(&output);
    (output.status.code(), stdout, stderr)
}

/// The last line of `stderr`, which says how the command failed. No other line says so, and nothing is a
/// message of a panic, an abort or a backtrace.
fn failure(stderr: &str) -> &str {
    let messages = stderr.lines().filter(|line| !line.starts_with('['));
    assert_eq!(messages.count(), 1, "{stderr}");
    for word in ["internal", "panicked", "backtrace", "frame #", "unwrap"] {
        assert!(!stderr.contains(word), "{stderr}");
    }
    stderr.lines().last().unwrap()
}

/// The command at the end of a message, which goes on with a run.
fn resume_command(message: &str) -> &str {
    message.split_once("; to go on: ").expect(message).1
}

/// The names of the finished stages in a results folder.
fn stages(bench: &Bench, out: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(bench.path(out).join(".stages")) else {
        return Vec::new();
    };
    let finished = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none() && path.join("records.parquet").is_file());
    finished
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_command_after_a_failure_goes_on_when_it_is_pasted() {
    let bench = Bench::with(&one_seed());
    let out = "it's $HERE; `now`";
    let arguments = [
        "run",
        "spec.toml",
        "--out",
        out,
        "--set",
        "question=Does \"it's\" run?",
        "--set",
        "encoders.1.hidden=[3, 3]",
        "--jobs=2",
        "--device",
        "cpu",
        "--data-dir",
        ".",
        "--fresh",
    ];
    // No file may be larger than 4 KiB, and the model needs more.
    let (status, stdout, stderr) =
        ended(&mut shell(&bench, "ulimit -f 8; exec \"$@\"", &arguments));
    assert_eq!((status, stdout.as_str()), (Some(1), ""), "{stderr}");
    let message = failure(&stderr);
    assert!(message.contains("File too large"), "{message}");
    let command = resume_command(message);
    assert!(!command.contains("--fresh"), "{command}");

    let (stdout, _) = succeeds(&mut shell(&bench, command, &[]));
    assert!(stdout.contains("/report.html"), "{stdout}");
    let found = fs::read_to_string(bench.path(out).join("spec.toml")).unwrap();
    assert!(found.contains("hidden = [3, 3]"), "{found}");
    assert!(found.contains("Does \"it's\" run?"), "{found}");
    let (stdout, _) = succeeds(&mut shell(&bench, command, &[]));
    assert!(stdout.starts_with("nothing to do: "), "{stdout}");
}

/// Starts a run that a test has to end, and returns when its first stage is finished.
fn endless_run(bench: &Bench, script: &str) -> Child {
    let arguments = ["run", "spec.toml", "--out", "out", "--jobs", "1"];
    let mut child = shell(bench, script, &arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while stages(bench, "out").is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        sleep(Duration::from_millis(2));
    }
    child
}

fn endless() -> Bench {
    Bench::with(&edited(
        DIGITS,
        "steps = 150\nbatch",
        "steps = 100000000\nbatch",
    ))
}

fn kill(child: &Child, signal: i32) {
    // SAFETY: the process is a child that was not waited for, so that its number belongs to it.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

/// Whether the bit of `signal` is set in the line `name` of a process's status.
fn has_signal(child: &Child, name: &str, signal: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap()
        .trim_start_matches(':')
        .trim();
    u64::from_str_radix(mask, 16).unwrap() & (1 << (signal - 1)) != 0
}

fn interrupted(child: Child) {
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(130), "{stderr}");
    let message = failure(&stderr);
    assert!(
        message.starts_with("interrupted; finished stages are kept; to go on: "),
        "{message}"
    );
    let command = resume_command(message);
    assert!(
        command.ends_with("amortgap run spec.toml --out out --jobs 1"),
        "{command}"
    );
}

#[test]
fn signals_that_were_ignored_stay_ignored() {
    let bench = endless();
    let child = endless_run(&bench, "trap '' HUP INT; exec \"$@\"");
    let ignored = [libc::SIGHUP, libc::SIGINT];
    let found = ignored.map(|signal| has_signal(&child, "SigIgn", signal));
    for signal in ignored {
        kill(&child, signal);
    }
    // It still goes on, and a signal that was not ignored ends it.
    kill(&child, libc::SIGTERM);
    interrupted(child);
    assert_eq!(found, [true; 2]);
}

#[test]
fn a_hangup_that_was_not_ignored_ends_a_run_with_status_130() {
    let bench = endless();
    let child = endless_run(&bench, "exec \"$@\"");
    kill(&child, libc::SIGHUP);
    interrupted(child);
}

/// A finished run, and commands whose stdout is what they are for.
fn finished_run() -> (Bench, Vec<Vec<&'static str>>) {
    let bench = Bench::with(&one_seed());
    bench.summary_of_run("finished", &[]);
    let commands = [
        "--help",
        "--version",
        "run --help",
        "help run",
        "run spec.toml --out finished",
        "plan spec.toml",
        "plan spec.toml --json",
        "status finished",
        "report finished",
        "data list",
        "data check digits",
        "completions bash",
        "completions zsh",
    ];
    let words = commands.map(|command| command.split(' ').collect());
    (bench, words.to_vec())
}

const NO_SPACE: &str = "error: cannot write to stdout: No space left on device (os error 28)";

#[test]
fn a_full_stdout_is_an_error_of_one_line() {
    let (bench, commands) = finished_run();
    for command in commands {
        let (status, _, stderr) = ended(&mut shell(&bench, "exec \"$@\" >/dev/full", &command));
        assert_eq!(status, Some(1), "{command:?}: {stderr}");
        assert_eq!(stderr, format!("{NO_SPACE}\n"), "{command:?}");
    }
    // A run publishes its results first, and says where they are.
    let run = ["run", "spec.toml", "--out", "out"];
    let (status, _, stderr) = ended(&mut shell(&bench, "exec \"$@\" >/dev/full", &run));
    assert_eq!(status, Some(1), "{stderr}");
    assert_eq!(
        failure(&stderr),
        format!("{NO_SPACE}; the results are in out")
    );
    assert_eq!(
        summary(&bench.path("out")),
        summary(&bench.path("finished"))
    );
}

#[test]
fn a_stderr_that_is_full_or_closed_changes_nothing() {
    let (bench, commands) = finished_run();
    let undisturbed: Vec<_> = commands
        .iter()
        .map(|command| ended(&mut shell(&bench, "exec \"$@\"", command)))
        .collect();
    for redirection in ["2>/dev/full", "2>&-", "2>/dev/full <&-"] {
        let script = format!("exec \"$@\" {redirection}");
        for (command, expected) in commands.iter().zip(&undisturbed) {
            let found = ended(&mut shell(&bench, &script, command));
            assert_eq!(expected.0, Some(0), "{command:?}");
            assert_eq!(&found, expected, "{command:?} {redirection}");
        }
        // Its progress goes to stderr.
        let fresh = ["run", "spec.toml", "--out", "out", "--fresh"];
        let (status, stdout, _) = ended(&mut shell(&bench, &script, &fresh));
        assert_eq!(status, Some(0), "{redirection}");
        assert!(stdout.ends_with("report: out/report.html\n"), "{stdout}");
        assert_eq!(
            summary(&bench.path("out")),
            summary(&bench.path("finished"))
        );
        // A refusal and a usage error keep their status, although nobody reads them.
        for wrong in [&["plan", "missing.toml"][..], &["plan", "--nothing"], &[]] {
            let (status, stdout, _) = ended(&mut shell(&bench, &script, wrong));
            assert_eq!((status, stdout.as_str()), (Some(2), ""), "{wrong:?}");
        }
    }
    let unwritable = "ulimit -f 1; exec \"$@\" 2>/dev/full";
    let run = ["run", "spec.toml", "--out", "small"];
    let (status, stdout, _) = ended(&mut shell(&bench, unwritable, &run));
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
}

#[test]
fn outputs_that_are_closed_are_not_written_to() {
    let (bench, commands) = finished_run();
    for command in commands {
        for script in ["exec \"$@\" >&-", "exec \"$@\" >&- 2>&- <&-"] {
            let (status, stdout, stderr) = ended(&mut shell(&bench, script, &command));
            assert_eq!(status, Some(0), "{command:?}: {stderr}");
            assert_eq!((stdout.as_str(), stderr.as_str()), ("", ""), "{command:?}");
        }
    }
    // What would have gone to stdout is in no file that the run opens.
    let run = ["run", "spec.toml", "--out", "out"];
    let (status, _, _) = ended(&mut shell(&bench, "exec \"$@\" >&- 2>&- <&-", &run));
    assert_eq!(status, Some(0));
    assert_eq!(
        summary(&bench.path("out")),
        summary(&bench.path("finished"))
    );
}

#[test]
fn a_run_whose_progress_nobody_reads_goes_on() {
    let bench = Bench::with(&one_seed());
    let mut run = bench.run("out", &[]);
    let mut child = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(texts(&output).0.ends_with("report: out/report.html\n"));

    // Nobody reads stdout either: the results are published, and the program ends as others do.
    let mut run = bench.run("silent", &[]);
    let mut child = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGPIPE));
    assert_eq!(summary(&bench.path("silent")), summary(&bench.path("out")));
    let mut report = bench.amortgap(&["report", "out"]);
    let mut child = report
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(libc::SIGPIPE));
    assert_eq!(texts(&output).1, "");
}

/// A terminal: the side that a terminal emulator has, and the side that a program has.
fn terminal() -> (OwnedFd, OwnedFd) {
    // SAFETY: the calls are given a descriptor that was just opened and a buffer with its length.
    unsafe {
        let emulator = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        assert!(emulator >= 0);
        assert_eq!(libc::grantpt(emulator), 0);
        assert_eq!(libc::unlockpt(emulator), 0);
        let mut name = [0; 64];
        assert_eq!(libc::ptsname_r(emulator, name.as_mut_ptr(), name.len()), 0);
        let program = libc::open(
            name.as_ptr(),
            libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC,
        );
        assert!(program >= 0);
        (
            OwnedFd::from_raw_fd(emulator),
            OwnedFd::from_raw_fd(program),
        )
    }
}

#[test]
fn a_run_whose_terminal_goes_away_goes_on() {
    let bench = Bench::with(&one_seed());
    for (script, expected) in [("exec \"$@\"", 0), ("ulimit -f 8; exec \"$@\"", 1)] {
        let out = format!("out-{expected}");
        let (emulator, program) = terminal();
        let mut run = shell(&bench, script, &["run", "spec.toml", "--out", &out]);
        let child = run.stdout(Stdio::piped()).stderr(program).spawn().unwrap();
        drop(run);
        drop(emulator);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(expected));
    }
    assert!(bench.path("out-0/report.html").is_file());
}

#[test]
fn an_environment_variable_of_ours_with_an_unknown_value_is_refused_by_every_command() {
    let (bench, commands) = finished_run();
    let is_about_arguments = |command: &[&str]| command.iter().any(|word| word.contains("help"));
    for command in commands {
        if command == ["--version"] || is_about_arguments(&command) {
            continue;
        }
        for (name, value, message) in [
            (
                "AMORTGAP_MATH_SWITCH",
                OsString::from("nonsense"),
                "AMORTGAP_MATH_SWITCH is `nonsense`; set it to off, or unset it",
            ),
            (
                "AMORTGAP_MATH_SWITCH",
                OsString::from_vec(b"off\xff".to_vec()),
                "AMORTGAP_MATH_SWITCH is `off\u{fffd}`; set it to off, or unset it",
            ),
            (
                "AMORTGAP_SIMD",
                OsString::from("nonsense"),
                "AMORTGAP_SIMD is `nonsense`; set it to avx512, avx2 or off, or unset it",
            ),
            (
                "AMORTGAP_SIMD",
                OsString::from_vec(b"off\xff".to_vec()),
                "AMORTGAP_SIMD is `off\u{fffd}`; set it to avx512, avx2 or off, or unset it",
            ),
        ] {
            let mut program = bench.amortgap(&command);
            assert_eq!(refusal(program.env(name, value)), message, "{command:?}");
        }
    }
    let mut program = bench.amortgap(&["plan", "spec.toml"]);
    succeeds(
        program
            .env("AMORTGAP_MATH_SWITCH", "")
            .env("AMORTGAP_SIMD", ""),
    );
}

#[test]
fn a_deleted_working_folder_is_no_hindrance_for_absolute_paths() {
    let bench = Bench::with(&one_seed());
    let in_deleted_folder = "mkdir gone && cd gone && rmdir ../gone && exec \"$@\"";
    let path = |name: &str| bench.path(name).to_str().unwrap().to_owned();
    let (spec, out) = (path("spec.toml"), path("out"));
    for command in [
        &["--version"][..],
        &["plan", &spec],
        &["run", &spec, "--out", &out],
        &["report", &out],
        &["status", &out],
    ] {
        let (stdout, _) = succeeds(&mut shell(&bench, in_deleted_folder, command));
        assert!(!stdout.is_empty(), "{command:?}");
    }
    // Relative paths are those of the deleted folder, and of no other.
    for command in [
        &["plan", "spec.toml"][..],
        &["plan", "tmp"],
        &["run", &spec],
    ] {
        let message = refusal(&mut shell(&bench, in_deleted_folder, command));
        assert!(message.contains("No such file"), "{message}");
    }
}

/// Settings with which one step of fitting an encoder needs some 10 GB, and the model before it little.
const TOO_LARGE: [&str; 6] = [
    "--set",
    "encoder_training.steps=1",
    "--set",
    "encoder_training.n_samples=200000",
    "--set",
    "encoder_training.batch_size=300",
];

#[test]
fn a_run_that_outgrows_a_limit_on_memory_says_so_in_one_line_and_keeps_its_stages() {
    for simd in [None, Some("off")] {
        for gigabytes in [1, 2, 4] {
            let bench = Bench::with(&one_seed());
            let limit = format!("ulimit -v {}; exec \"$@\"", gigabytes * 1_000_000);
            let mut arguments = vec!["run", "spec.toml", "--out", "out", "--jobs", "2"];
            arguments.extend(TOO_LARGE);
            let mut run = shell(&bench, &limit, &arguments);
            run.env("RUST_BACKTRACE", "1")
                .envs(simd.map(|simd| (OsStr::new("AMORTGAP_SIMD"), OsStr::new(simd))));
            let (status, stdout, stderr) = ended(&mut run);
            let case = format!("{simd:?} {gigabytes} GB: {stderr}");
            assert_eq!(stdout, "", "{case}");
            if gigabytes < 3 && status == Some(2) {
                // Less than the least that a stage takes is refused before anything runs.
                assert!(
                    stderr.contains("`encoder_training.n_samples` is 200000"),
                    "{case}"
                );
                assert_eq!(stderr.lines().count(), 1, "{case}");
                continue;
            }
            assert_eq!(status, Some(1), "{case}");
            let message = failure(&stderr);
            assert!(message.starts_with("error: "), "{case}");
            assert!(
                message
                    .contains("memory ran out; use `--jobs 1`, a smaller `evaluation.batch_size`"),
                "{case}"
            );
            assert!(
                resume_command(message).contains("amortgap run spec.toml"),
                "{case}"
            );

            let kept = stages(&bench, "out");
            assert!(kept.iter().any(|name| name.starts_with("model-")), "{case}");
            if gigabytes == 1 {
                let mut again = bench.run("out", &[]);
                again.envs(simd.map(|simd| ("AMORTGAP_SIMD", simd)));
                let (_, stderr) = succeeds(&mut again);
                assert!(!stderr.contains(": model "), "{stderr}");
            }
        }
    }
}
