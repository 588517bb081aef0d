//! Tests that whatever is at a path, reading it ends soon and takes little memory.

use gap_spec::document::{self, MOST_SPEC_BYTES};
use gap_spec::input_file::{InputFileError, read, read_stream, read_text};
use std::fs;
use std::path::Path;

#[test]
fn a_file_is_read_up_to_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "eight by").unwrap();
    assert_eq!(read(&path, 8).unwrap(), b"eight by");
    assert_eq!(read_text(&path, 9).unwrap(), "eight by");
    let message = read(&path, 7).unwrap_err().to_string();
    assert_eq!(message, "it has more than 7 bytes, the most that are read");
}

#[test]
fn an_endless_stream_is_not_read_to_its_end() {
    let error = read_stream(std::io::repeat(0), 100).unwrap_err();
    assert!(matches!(error, InputFileError::TooLong { most_bytes: 100 }));
}

#[test]
fn text_that_is_not_utf_8_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latin1");
    fs::write(&path, b"caf\xe9 noir").unwrap();
    let message = read_text(&path, 100).unwrap_err().to_string();
    assert_eq!(
        message,
        "it is not UTF-8 text (invalid utf-8 sequence of 1 bytes from index 3)"
    );
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_refused_by_its_kind() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    let made = std::process::Command::new("mkfifo")
        .arg(place("fifo"))
        .status();
    assert!(made.unwrap().success());
    fs::create_dir(place("folder")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place("socket")).unwrap();
    std::os::unix::fs::symlink(place("fifo"), place("link")).unwrap();
    for (path, kind) in [
        (place("fifo").as_path(), "a FIFO"),
        (&place("link"), "a FIFO"),
        (&place("folder"), "a directory"),
        (&place("socket"), "a socket"),
        (Path::new("/dev/zero"), "a device"),
    ] {
        let message = read(path, 100).unwrap_err().to_string();
        assert_eq!(message, format!("it is {kind}, not a regular file"));
        let message = document::read(path, &[]).unwrap_err().to_string();
        let start = format!(
            "{}: cannot read this spec: it is {kind}, not",
            path.display()
        );
        assert!(message.starts_with(&start), "{message}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_a_regular_file_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "text").unwrap();
    std::os::unix::fs::symlink("file", dir.path().join("link")).unwrap();
    assert_eq!(read_text(&dir.path().join("link"), 4).unwrap(), "text");
}

#[test]
fn a_spec_that_is_longer_than_any_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.toml");
    // A sparse file takes no room, and would take much memory.
    let file = fs::File::create(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let message = document::read(&path, &[]).unwrap_err().to_string();
    assert!(
        message.contains(": cannot read this spec: it has more than 1048576 bytes"),
        "{message}"
    );
    file.set_len(MOST_SPEC_BYTES).unwrap();
    let message = document::read(&path, &[]).unwrap_err().to_string();
    assert!(message.contains("long.toml:1:"), "{message}");
}
