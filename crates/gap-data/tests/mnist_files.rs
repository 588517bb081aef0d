//! Tests that each possible fault of an MNIST file gives its own error, with a message that says how to fix it.
#![expect(
    clippy::unwrap_used,
    reason = "clippy allows it in test functions, not in what they call"
)]

use flate2::{Compression, write::GzEncoder};
use gap_data::idx::{Images, parse_images, read_decompressed};
use gap_data::{DataError, LoadOptions, catalog, check, load};
use std::fs;
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;

const TRAIN: &str = "train-images-idx3-ubyte";
const TEST: &str = "t10k-images-idx3-ubyte";

/// The bytes of an IDX file of two images of 2x3 pixels.
fn small() -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0x0803_u32, 2, 2, 3] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(0..12);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Makes a temporary folder that contains `files`, given as names and contents.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

/// The error of loading MNIST from `dir`, and its message with `DIR` in place of the folder's path.
fn refusal(dir: &Path) -> (DataError, String) {
    let options = LoadOptions {
        data_dir: Some(dir),
        ..LoadOptions::default()
    };
    let error = load("mnist", &options).unwrap_err();
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message}");
    let place = dir.display().to_string();
    (error, message.replace(&place, "DIR"))
}

fn refusal_of(name: &str, bytes: &[u8]) -> (DataError, String) {
    refusal(folder(&[(name, bytes)]).path())
}

#[test]
fn a_well_formed_file_is_read_with_or_without_gzip() {
    let bytes = small();
    let dir = folder(&[("plain", &bytes), ("packed.gz", &gzip(&bytes))]);
    for name in ["plain", "packed.gz"] {
        let path = dir.path().join(name);
        let images = parse_images(&read_decompressed(&path, 28).unwrap(), &path).unwrap();
        let expected = Images {
            n: 2,
            height: 2,
            width: 3,
            pixels: (0..12).collect(),
        };
        assert_eq!(images, expected);
    }
}

#[test]
fn no_folder_is_the_first_complaint() {
    for name in ["mnist", "mnist-binarized"] {
        let error = load(name, &LoadOptions::default()).unwrap_err();
        assert!(matches!(error, DataError::NoDataDir { .. }));
        assert_eq!(
            error.to_string(),
            format!(
                "`{name}` is not built in and no folder was given; pass --data-dir with the folder that holds train-images-idx3-ubyte[.gz]"
            )
        );
    }
}

#[test]
fn a_missing_file_is_named_with_the_folders_that_were_searched() {
    let dir = folder(&[]);
    let (error, message) = refusal(dir.path());
    assert!(matches!(error, DataError::Missing { .. }));
    assert_eq!(
        message,
        "train-images-idx3-ubyte[.gz] is not in DIR or DIR/mnist; pass --data-dir with the folder that holds train-images-idx3-ubyte[.gz]"
    );
    let (_, same) = refusal(&dir.path().join("not-there"));
    assert_eq!(same, message);
}

#[test]
fn a_file_of_another_format_is_not_idx() {
    let (error, message) = refusal_of(TRAIN, b"\x89PNG and more than sixteen bytes");
    assert!(matches!(
        error,
        DataError::NotIdx {
            magic: 0x8950_4e47,
            ..
        }
    ));
    assert_eq!(
        message,
        "DIR/train-images-idx3-ubyte is not an IDX file of images: it begins with 0x89504e47, not 0x00000803; use train-images-idx3-ubyte"
    );
}

#[test]
fn labels_in_place_of_images_are_recognised() {
    let labels = [0, 0, 8, 1, 0, 0, 0, 2, 7, 3];
    let (error, message) = refusal_of("train-images-idx3-ubyte.gz", &gzip(&labels));
    assert!(matches!(error, DataError::Labels { .. }));
    assert_eq!(
        message,
        "DIR/train-images-idx3-ubyte.gz holds labels, not images; use train-images-idx3-ubyte"
    );
    let path = Path::new("t10k-labels-idx1-ubyte");
    assert_eq!(
        parse_images(&labels, path).unwrap_err().to_string(),
        "t10k-labels-idx1-ubyte holds labels, not images; use t10k-images-idx3-ubyte"
    );
}

#[test]
fn fewer_or_more_bytes_than_promised_are_counted() {
    let bytes = small();
    let (error, message) = refusal_of(TRAIN, &bytes[..25]);
    assert!(matches!(
        error,
        DataError::Truncated {
            promised: 12,
            found: 9,
            ..
        }
    ));
    assert_eq!(
        message,
        "DIR/train-images-idx3-ubyte is cut short: its header promises 12 bytes of pixels, it has 9; fetch it again"
    );

    let longer = [bytes.as_slice(), &[0]].concat();
    let (error, message) = refusal_of(TRAIN, &longer);
    assert!(matches!(
        error,
        DataError::TrailingBytes {
            promised: 12,
            found: 13,
            ..
        }
    ));
    assert_eq!(
        message,
        "DIR/train-images-idx3-ubyte has trailing bytes: its header promises 12 bytes of pixels, it has 13; fetch it again"
    );
}

#[test]
fn every_prefix_of_a_file_is_cut_short() {
    let bytes = small();
    for n in 0..bytes.len() {
        let error = parse_images(&bytes[..n], Path::new(TRAIN)).unwrap_err();
        if n < 16 {
            assert!(
                matches!(error, DataError::TruncatedHeader { .. }),
                "{n}: {error}"
            );
        } else {
            assert!(matches!(error, DataError::Truncated { .. }), "{n}: {error}");
        }
    }
}

#[test]
fn a_header_that_promises_more_than_memory_is_cut_short_too() {
    let mut bytes = small();
    bytes[4..16].fill(0xff);
    let error = parse_images(&bytes, Path::new(TRAIN)).unwrap_err();
    assert!(matches!(
        error,
        DataError::Truncated {
            promised: u64::MAX,
            ..
        }
    ));
}

#[test]
fn broken_gzip_is_said_to_be_broken() {
    let packed = gzip(&small());
    let trailing = [packed.as_slice(), b"trailing"].concat();
    let mut flipped = packed.clone();
    let crc = flipped.len() - 6;
    flipped[crc] ^= 1;
    for bytes in [
        &packed[..packed.len() - 3],
        &trailing,
        &flipped,
        b"not gzip",
    ] {
        let (error, message) = refusal_of("train-images-idx3-ubyte.gz", bytes);
        assert!(matches!(error, DataError::Gzip { .. }));
        assert_eq!(
            message,
            "DIR/train-images-idx3-ubyte.gz is corrupt or cut short: it does not decompress as gzip; fetch it again"
        );
    }
}

#[test]
fn a_well_formed_file_of_other_bytes_is_not_the_published_one() {
    let (error, message) = refusal_of(TRAIN, &small());
    let DataError::WrongChecksum {
        expected, found, ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(
        message,
        format!(
            "DIR/train-images-idx3-ubyte has SHA-256 {found}, expected {expected}: the bytes are not the published MNIST; fetch it again"
        )
    );
}

#[test]
fn a_plain_file_wins_over_a_packed_one_and_the_folder_over_its_subfolder() {
    let (plain, packed) = (small(), gzip(b"\0\0\x08\x01"));
    let dir = folder(&[(TRAIN, &plain), ("train-images-idx3-ubyte.gz", &packed)]);
    assert!(
        refusal(dir.path())
            .1
            .starts_with("DIR/train-images-idx3-ubyte has SHA")
    );

    let dir = folder(&[("mnist/train-images-idx3-ubyte", &plain)]);
    assert!(
        refusal(dir.path())
            .1
            .starts_with("DIR/mnist/train-images-idx3-ubyte has SHA")
    );

    let dir = folder(&[
        ("train-images-idx3-ubyte.gz", &packed),
        ("mnist/train-images-idx3-ubyte", &plain),
    ]);
    assert!(matches!(refusal(dir.path()).0, DataError::Labels { .. }));
}

#[test]
fn checking_reports_other_bytes_as_a_result_and_a_missing_file_as_an_error() {
    let bytes = small();
    let dir = folder(&[
        (TRAIN, &bytes),
        ("t10k-images-idx3-ubyte.gz", &gzip(&bytes)),
    ]);
    let checked = check("mnist", Some(dir.path())).unwrap();
    assert_eq!(checked.len(), 2);
    assert_eq!(checked[0].path, dir.path().join(TRAIN));
    assert!(
        checked
            .iter()
            .all(|file| !file.ok && file.sha256 != file.expected_sha256)
    );
    // The digest is that of the uncompressed bytes.
    assert_eq!(checked[0].sha256, checked[1].sha256);

    fs::remove_file(dir.path().join("t10k-images-idx3-ubyte.gz")).unwrap();
    let error = check("mnist", Some(dir.path())).unwrap_err();
    assert!(matches!(error, DataError::Missing { file: TEST, .. }));
}

#[test]
fn a_folder_in_place_of_a_file_cannot_be_read() {
    let dir = folder(&[("train-images-idx3-ubyte/inside", b"")]);
    let (error, message) = refusal(dir.path());
    assert!(matches!(error, DataError::Unreadable { .. }));
    assert_eq!(
        message,
        "DIR/train-images-idx3-ubyte cannot be read: it is a directory, not a regular file; make it a regular file that you may read, or pass another --data-dir"
    );
}

#[cfg(unix)]
#[test]
fn a_fifo_or_a_device_in_place_of_a_file_is_not_waited_for() {
    for name in [TRAIN, "train-images-idx3-ubyte.gz"] {
        let dir = folder(&[]);
        let path = dir.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let (error, message) = refusal(dir.path());
        assert!(matches!(error, DataError::Unreadable { .. }));
        let start = format!("DIR/{name} cannot be read: it is a FIFO, not a regular file; ");
        assert!(message.starts_with(&start), "{message}");

        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        let (_, message) = refusal(dir.path());
        let start = format!("DIR/{name} cannot be read: it is a device, not a regular file; ");
        assert!(message.starts_with(&start), "{message}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_a_file_is_followed() {
    let dir = folder(&[("elsewhere/images", &small())]);
    std::os::unix::fs::symlink("elsewhere/images", dir.path().join(TRAIN)).unwrap();
    assert!(matches!(
        refusal(dir.path()).0,
        DataError::WrongChecksum { .. }
    ));
}

const TOO_LONG: &str =
    "is longer than the published file, which has 47040016 bytes uncompressed; fetch it again";

#[test]
fn a_gzip_bomb_is_decompressed_only_as_far_as_the_published_file_goes() {
    // Each member is 100 MB of zeros in 100 kB. Were all 40 of them decompressed, they would take 4 GB.
    let member = gzip(&vec![0; 100_000_000]);
    let (error, message) = refusal_of("train-images-idx3-ubyte.gz", &member.repeat(40));
    assert!(matches!(error, DataError::TooLong { .. }));
    assert_eq!(
        message,
        format!("DIR/train-images-idx3-ubyte.gz {TOO_LONG}")
    );
}

#[test]
fn a_file_that_is_longer_than_the_published_one_is_not_read() {
    for (name, bytes) in [(TRAIN, 47_040_017), ("train-images-idx3-ubyte.gz", 1 << 40)] {
        let dir = folder(&[]);
        // A sparse file takes no room.
        let file = fs::File::create(dir.path().join(name)).unwrap();
        file.set_len(bytes).unwrap();
        let (error, message) = refusal(dir.path());
        assert!(matches!(error, DataError::TooLong { .. }));
        assert_eq!(message, format!("DIR/{name} {TOO_LONG}"));
        let error = check("mnist", Some(dir.path())).unwrap_err();
        assert!(matches!(error, DataError::TooLong { .. }));
    }
}

#[test]
fn a_file_of_the_published_size_is_read_whole_however_badly_it_compresses() {
    let bytes = small();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(&bytes).unwrap();
    let dir = folder(&[("packed.gz", &encoder.finish().unwrap())]);
    let path = dir.path().join("packed.gz");
    assert_eq!(read_decompressed(&path, 28).unwrap(), bytes);
    let error = read_decompressed(&path, 27).unwrap_err();
    assert!(matches!(error, DataError::TooLong { published: 27, .. }));
}

#[test]
fn the_catalog_has_the_size_of_each_file() {
    for entry in catalog().iter().filter(|entry| !entry.built_in) {
        let sizes =
            [entry.n_train, entry.n_test].map(|n| 16 + n as u64 * entry.observed_dim as u64);
        let listed: Vec<u64> = entry.files.iter().map(|file| file.bytes).collect();
        assert_eq!(listed, sizes);
    }
}
