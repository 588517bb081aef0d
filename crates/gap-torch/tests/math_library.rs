//! Tests that a test binary exports the math-library switch, that the switch takes effect, and that results
//! agree with and without it.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use gap_torch::math_library::{MKL_SWITCH_ENV_VARIABLE, MklPath, detect_mkl_path};
use gap_torch::{NoiseStream, SeedKey};
use std::process::Command;
use tch::{Device, Kind, Tensor};

/// A matrix product and a tanh, as in a layer of a decoder: operations that MKL's code paths compute
/// differently.
fn layer() -> Tensor {
    let mut noise = NoiseStream::new(SeedKey::root(1), &[0], Device::Cpu);
    let rows = noise.normal(300, 200).view([300, 200]);
    let weights = noise.normal(200, 50).view([200, 50]) / 200_f64.sqrt();
    rows.mm(&weights).tanh()
}

#[test]
fn the_switch_is_exported_from_a_test_binary() {
    let path = detect_mkl_path();
    assert_ne!(path, MklPath::NotExported);
    let turned_off = std::env::var_os(MKL_SWITCH_ENV_VARIABLE).is_some_and(|value| value == "off");
    let able = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    assert_eq!(path == MklPath::Switched, able && !turned_off);
}

/// Prints MKL's code path and the layer's values, if `layer_of_a_child` runs this test in a child process.
#[test]
fn print_a_layer() {
    if std::env::var_os("AMORTGAP_PRINT_LAYER").is_none() {
        return;
    }
    let values = Vec::<f32>::try_from(layer().view([-1])).unwrap();
    let bits: Vec<String> = values
        .iter()
        .map(|value| value.to_bits().to_string())
        .collect();
    println!("layer {} {}", detect_mkl_path(), bits.join(","));
}

fn layer_of_a_child(switch: &str) -> (String, Tensor) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "print_a_layer",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("AMORTGAP_PRINT_LAYER", "1")
        .env(MKL_SWITCH_ENV_VARIABLE, switch)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let start = said
        .rfind("layer ")
        .unwrap_or_else(|| panic!("no layer in: {said}"));
    let mut words = said[start..].lines().next().unwrap().split(' ').skip(1);
    let path = words.next().unwrap().to_owned();
    let values: Vec<f32> = words
        .next()
        .unwrap()
        .split(',')
        .map(|bits| f32::from_bits(bits.parse().unwrap()))
        .collect();
    (path, Tensor::from_slice(&values).view([300, 50]))
}

#[test]
fn both_paths_agree_to_the_precision_of_f32() {
    let (off, stock) = layer_of_a_child("off");
    let (on, switched) = layer_of_a_child("on");
    assert_eq!(off, "stock");
    assert_eq!(
        on == "switched",
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    );
    // A sum of 200 products, each of size 1/sqrt(200), has at most 200 rounding errors of 6e-8.
    let difference = (stock - switched)
        .abs()
        .max()
        .to_kind(Kind::Double)
        .double_value(&[]);
    assert!(difference < 1e-5, "{difference}");
}
