//! Tests that no bytes make reading an IDX file panic, or take more memory than the published file needs.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../gap-spec/tests/generated/mod.rs"]
mod generated;

use flate2::Compression;
use flate2::write::GzEncoder;
use gap_data::DataError;
use gap_data::idx::{parse_images, read_decompressed};
use generated::{ScratchFile, cases, damaged, damages, pass_in_limited_memory};
use proptest::prelude::*;
use std::io::Write;
use std::path::Path;

/// The uncompressed size of the file that is expected.
const PUBLISHED: u64 = 16 + 60 * 7 * 5;

/// The bytes of an IDX file of these sizes, with as many pixels as they promise.
fn idx(sizes: [u32; 3], magic: u32) -> Vec<u8> {
    let words = [magic, sizes[0], sizes[1], sizes[2]];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let n: u32 = sizes.iter().product();
    bytes.extend((0..n).map(|i| i as u8));
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Parses `bytes`; images have the pixels that their sizes say, and a refusal is one line that names the file.
fn parse(bytes: &[u8]) -> Result<(), TestCaseError> {
    match parse_images(bytes, Path::new("any-file")) {
        Ok(images) => {
            prop_assert_eq!(images.n * images.height * images.width, images.pixels.len());
            prop_assert!(images.pixels.len() + 16 == bytes.len());
        }
        Err(error) => one_line(&error, "any-file")?,
    }
    Ok(())
}

fn one_line(error: &DataError, file: &str) -> Result<(), TestCaseError> {
    let message = error.to_string();
    prop_assert!(
        message.contains(file) && message.lines().count() == 1,
        "{}",
        message
    );
    Ok(())
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    #[ignore = "run by `no_generated_file_panics_or_takes_much_memory`"]
    fn bytes_of_any_kind(
        magic in prop_oneof![Just(0x0803), Just(0x0801), any::<u32>()],
        sizes in any::<[u32; 3]>(),
        pixels in prop::collection::vec(any::<u8>(), 0..200),
        damages in damages(),
    ) {
        let mut bytes = idx([0, 0, 0], magic);
        for (i, size) in sizes.iter().enumerate() {
            bytes[4 * (i + 1)..4 * (i + 2)].copy_from_slice(&size.to_be_bytes());
        }
        bytes.extend(&pixels);
        parse(&bytes)?;
        parse(&pixels)?;
        parse(&damaged(&bytes, &damages))?;
    }
}

#[test]
#[ignore = "run by `no_generated_file_panics_or_takes_much_memory`"]
fn damaged_files() {
    let (plain, packed) = (ScratchFile::new("images"), ScratchFile::new("images.gz"));
    let sizes = (0..61_u32, 0..8_u32, 0..6_u32);
    let input = (sizes, damages(), any::<bool>(), any::<bool>());
    proptest!(cases(600), |((sizes, damages, is_packed, before_packing) in input)| {
        let mut bytes = idx([sizes.0, sizes.1, sizes.2], 0x0803);
        if before_packing {
            bytes = damaged(&bytes, &damages);
        }
        if is_packed {
            bytes = gzip(&bytes);
        }
        if !before_packing {
            bytes = damaged(&bytes, &damages);
        }
        let path = if is_packed { &packed } else { &plain }.with(&bytes);
        match read_decompressed(path, PUBLISHED) {
            Ok(read) => {
                prop_assert!(read.len() as u64 <= PUBLISHED);
                parse(&read)?;
            }
            Err(error) => one_line(&error, "images")?,
        }
    });
}

#[test]
#[ignore = "run by `no_generated_file_panics_or_takes_much_memory`"]
fn gzip_bombs() {
    let member = gzip(&vec![0; 50_000_000]);
    let file = ScratchFile::new("images.gz");
    // 10 GB in 10 MB, where 50 MB are expected; and as many empty members as such a file has room for.
    for bytes in [member.repeat(200), gzip(b"").repeat(2_000_000)] {
        let result = read_decompressed(file.with(&bytes), 50_000_000);
        assert!(
            matches!(&result, Err(DataError::TooLong { .. }))
                || result.is_ok_and(|bytes| bytes.is_empty())
        );
    }
}

#[test]
fn no_generated_file_panics_or_takes_much_memory() {
    pass_in_limited_memory(&["bytes_of_any_kind", "damaged_files", "gzip_bombs"]);
}
