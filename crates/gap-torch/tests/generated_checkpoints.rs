//! Tests that no bytes make reading a checkpoint panic, or take more memory than the file's size explains.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../gap-spec/tests/generated/mod.rs"]
mod generated;

use gap_torch::checkpoint::Checkpoint;
use generated::{cases, damaged, damages, pass_in_limited_memory};
use proptest::prelude::*;
use std::sync::LazyLock;
use tch::{Device, Kind, Tensor};

/// The contents of a file that a checkpoint was saved to.
static SAVED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut checkpoint = Checkpoint::new();
    let matrix = Tensor::arange(12, (Kind::Float, Device::Cpu)).view([3, 4]);
    checkpoint.insert("layer.0.weight", &matrix);
    checkpoint.insert("layer.0.bias", &Tensor::from_slice(&[0.5_f64, -1.0]));
    checkpoint.insert("half", &matrix.to_kind(Kind::BFloat16));
    checkpoint.insert("steps", &Tensor::from_slice(&[7_i64]));
    checkpoint.insert("empty", &Tensor::zeros([0, 3], (Kind::Float, Device::Cpu)));
    checkpoint.to_bytes().unwrap()
});

/// Reads a file with these bytes, and uses what is read. A refusal is one line, and not about memory.
fn read_and_use(bytes: &[u8]) -> Result<(), TestCaseError> {
    match Checkpoint::from_bytes(bytes) {
        Ok(checkpoint) => prop_assert_eq!(checkpoint.digest().len(), 64),
        Err(error) => {
            let message = error.to_string();
            prop_assert_eq!(message.lines().count(), 1, "{}", message);
            prop_assert!(!message.contains("memory"), "{}", message);
        }
    }
    Ok(())
}

/// A file with this header, and `n` bytes of tensors.
fn with_header(header: &str, n: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(vec![1; n]);
    bytes
}

/// A number that a header may have: small, or next to the end of what 32 or 64 bits hold.
fn claim() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..5_u64,
        1 => prop::sample::select(vec![
            1 << 31, 1 << 32, 1 << 40, 1 << 62, (1 << 63) - 1, 1 << 63, u64::MAX - 1, u64::MAX,
        ]),
        1 => any::<u64>(),
    ]
}

#[test]
#[ignore = "run by `no_generated_checkpoint_panics_or_takes_much_memory`"]
fn damaged_files() {
    proptest!(cases(600), |(damages in damages())| {
        read_and_use(&damaged(&SAVED, &damages))?;
    });
}

#[test]
#[ignore = "run by `no_generated_checkpoint_panics_or_takes_much_memory`"]
fn headers_of_any_kind() {
    let kinds = [
        "F32", "F64", "BF16", "F16", "I64", "U8", "BOOL", "U64", "F8_E4M3", "?",
    ];
    let range = prop_oneof![
        2 => (0..5_u64).prop_map(|i| (8 * i, 8 * i + 8)),
        1 => (claim(), claim())
    ];
    let shape = prop::collection::vec(claim(), 0..5);
    let tensor = ("[a-c]", prop::sample::select(kinds.to_vec()), shape, range);
    let tensors = prop::collection::vec(tensor, 0..4);
    let input = (tensors, 0..40_usize, prop::option::of(claim()));
    proptest!(cases(400), |((tensors, n_bytes, length) in input)| {
        let entries = tensors.iter().map(|(name, kind, shape, (start, end))| {
            format!("\"{name}\":{{\"dtype\":\"{kind}\",\"shape\":{shape:?},\"data_offsets\":[{start},{end}]}}")
        });
        let header = format!("{{{}}}", entries.collect::<Vec<_>>().join(","));
        let mut bytes = with_header(&header, n_bytes);
        if let Some(length) = length {
            bytes[..8].copy_from_slice(&length.to_le_bytes());
        }
        read_and_use(&bytes)?;
    });
}

#[test]
#[ignore = "run by `no_generated_checkpoint_panics_or_takes_much_memory`"]
fn headers_that_claim_much() {
    for shape in [
        "[0, 9223372036854775807]",
        "[9223372036854775807, 0]",
        "[0, 4611686018427387904, 4]",
        "[0, 18446744073709551615]",
    ] {
        let header =
            format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[0,0]}}}}");
        read_and_use(&with_header(&header, 0)).unwrap();
    }
    for header in [
        "{\"a\":".repeat(100_000),
        "[".repeat(100_000),
        format!("{{\"a\":{}", "[".repeat(100_000)),
    ] {
        assert!(Checkpoint::from_bytes(&with_header(&header, 8)).is_err());
    }
}

#[test]
fn no_generated_checkpoint_panics_or_takes_much_memory() {
    pass_in_limited_memory(&[
        "damaged_files",
        "headers_of_any_kind",
        "headers_that_claim_much",
    ]);
}

#[test]
fn the_file_that_is_damaged_is_whole() {
    let saved = Checkpoint::from_bytes(&SAVED).unwrap();
    assert_eq!(
        saved.get("steps", Device::Cpu).unwrap().int64_value(&[0]),
        7
    );
}
