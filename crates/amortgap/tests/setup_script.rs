//! `scripts/setup` on machines that lack something prints one clear line, ends with status 2, and leaves no
//! files.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The programs that the script calls before it downloads anything.
const TOOLS: [&str; 13] = [
    "bash",
    "cat",
    "cut",
    "dirname",
    "env",
    "find",
    "grep",
    "mktemp",
    "rm",
    "sha256sum",
    "sort",
    "uname",
    "xargs",
];

/// A checkout with only the scripts, and a folder with the only programs that the script can find.
struct Machine {
    checkout: TempDir,
    programs: TempDir,
}

impl Machine {
    fn with(extra: &[&str]) -> Self {
        let checkout = TempDir::new().unwrap();
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
        fs::create_dir(checkout.path().join("scripts")).unwrap();
        for name in ["setup", "libtorch-wheels.txt"] {
            fs::copy(
                scripts.join(name),
                checkout.path().join("scripts").join(name),
            )
            .unwrap();
        }
        let programs = TempDir::new().unwrap();
        for name in TOOLS.iter().chain(extra) {
            symlink(find(name), programs.path().join(name)).unwrap();
        }
        Self { checkout, programs }
    }

    /// Adds a program `name` that runs the shell commands `body`.
    fn fake(self, name: &str, body: &str) -> Self {
        let path = self.programs.path().join(name);
        fs::write(&path, format!("#!{}\n{body}\n", find("bash").display())).unwrap();
        let mut mode = fs::metadata(&path).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        fs::set_permissions(&path, mode).unwrap();
        self
    }

    fn setup(&self, variables: &[(&str, &str)]) -> Output {
        Command::new(find("bash"))
            .arg(self.checkout.path().join("scripts/setup"))
            .env_clear()
            .env("PATH", self.programs.path())
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    }

    fn assert_refused(&self, variables: &[(&str, &str)], what: &str) {
        let output = self.setup(variables);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let lines: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with("scripts/setup: "))
            .collect();
        assert!(
            lines.len() == 1 && lines[0].contains(what),
            "wanted `{what}` in: {said}"
        );
        let left: Vec<_> = fs::read_dir(self.checkout.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left, ["scripts"], "something was left behind");
    }
}

fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{program} is not on this machine"))
}

#[test]
fn a_missing_program_is_named_with_its_cure() {
    Machine::with(&[]).assert_refused(&[], "cargo is missing");
    let with_cargo = Machine::with(&[]).fake("cargo", "exit 0");
    with_cargo.assert_refused(&[], "a C++ compiler is missing");
    let with_compiler = with_cargo.fake("c++", "exit 0");
    with_compiler.assert_refused(&[], "python3 is missing");
    let with_python = with_compiler.fake("python3", "exit 1");
    with_python.assert_refused(&[], "pip is missing");
}

#[test]
fn wheels_that_cannot_be_had_leave_nothing_behind() {
    let pip_fails = r#"[ "$3" = --version ] && exit 0; exit 1"#;
    Machine::with(&[])
        .fake("cargo", "exit 0")
        .fake("c++", "exit 0")
        .fake("python3", pip_fails)
        .assert_refused(&[], "could not download the wheels");
}

#[test]
fn a_libtorch_of_the_users_own_wins_and_is_checked() {
    let machine = Machine::with(&[])
        .fake("cargo", "exit 0")
        .fake("c++", "exit 0");
    let own = TempDir::new().unwrap();
    let variables = [("LIBTORCH", own.path().to_str().unwrap())];
    machine.assert_refused(&variables, "has no include/ and lib/");
    fs::create_dir(own.path().join("include")).unwrap();
    fs::create_dir(own.path().join("lib")).unwrap();
    assert!(machine.setup(&variables).status.success());
    fs::write(own.path().join("build-version"), "2.4.0+cpu\n").unwrap();
    machine.assert_refused(&variables, "holds 2.4.0; amortgap needs 2.11.0");

    machine.assert_refused(&[("LIBTORCH_USE_PYTORCH", "1")], "python3 is missing");
    let old = machine.fake("python3", "echo 2.10.0");
    old.assert_refused(
        &[("LIBTORCH_USE_PYTORCH", "1")],
        "torch is 2.10.0; amortgap needs 2.11.0",
    );
    let right = old.fake("python3", "echo 2.11.0");
    assert!(
        right
            .setup(&[("LIBTORCH_USE_PYTORCH", "1")])
            .status
            .success()
    );
}
