//! A build without libtorch refuses the commands that need it, with one line.

#![cfg(not(feature = "compute"))]

use assert_cmd::Command;

#[test]
fn a_command_that_computes_is_refused_with_the_way_to_it() {
    for name in ["run", "plan", "status", "bench", "data"] {
        let mut program = Command::cargo_bin("amortgap").unwrap();
        let output = program.args([name, "x", "--jobs", "3"]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert_eq!(
            stderr,
            format!(
                "error: `amortgap {name}` needs libtorch, and this build only reports; build with default features for the rest (`cargo build -p amortgap`)\n"
            )
        );
    }
}

#[test]
fn a_word_that_is_no_command_anywhere_is_said_to_be_none() {
    let mut program = Command::cargo_bin("amortgap").unwrap();
    let output = program.arg("compare").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("unrecognized subcommand 'compare'"),
        "{stderr}"
    );
}
