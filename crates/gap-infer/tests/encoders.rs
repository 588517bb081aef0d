//! An encoder's output is that of its network, does not depend on the batch, and follows changes of the
//! weights.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use gap_data::{Dataset, LoadOptions};
use gap_infer::{DiagonalGaussian, Encoder};
use gap_model::{Activation, Mlp};
use gap_torch::SeedKey;
use tch::{Device, Kind, Tensor};

fn digits() -> Dataset {
    gap_data::load("digits-binarized", &LoadOptions::default())
        .unwrap()
        .test
}

fn largest(difference: &Tensor) -> f64 {
    difference.abs().max().double_value(&[])
}

#[test]
fn an_encoder_says_what_its_network_says_in_any_batch() {
    let x = digits().first(150).x().shallow_clone();
    for widths in [&[64, 8][..], &[64, 33, 17, 8]] {
        let network =
            Mlp::random_perceptron(widths, Activation::Tanh, SeedKey::root(1), Device::Cpu);
        let double = network.to_kind(Kind::Double);
        let encoder = Encoder::new(network);
        let all = encoder.encode(&x).0;
        let expected = double.forward(&x.to_kind(Kind::Double));
        assert!(largest(&(&all - expected)) < 1e-5);
        for (start, n) in [(0, 1), (3, 100), (149, 1)] {
            let some = encoder.encode(&x.narrow(0, start, n)).0;
            assert!(
                some.equal(&all.narrow(0, start, n)),
                "{n} rows from {start}"
            );
        }
    }
}

/// The packed weights are dropped when the network may change.
#[test]
fn an_encoder_that_was_changed_says_something_else() {
    let family = DiagonalGaussian::new(4);
    let (key, cpu) = (SeedKey::root(2), Device::Cpu);
    let mut encoder = Encoder::with_random_layers(64, &[8], &family, Activation::Tanh, key, cpu);
    let x = digits().first(5).x().shallow_clone();
    // In a new encoder only the means depend on what it sees.
    let new = encoder.encode(&x).0;
    assert!(largest(&new.narrow(1, 0, 4)) > 0.0);
    assert_eq!(largest(&new.narrow(1, 4, 4)), 0.0);
    for parameter in encoder.network_mut().parameters() {
        let _ = parameter.shallow_clone().fill_(0.25);
    }
    let expected = encoder.network().forward(&x);
    assert!(largest(&(encoder.encode(&x).0 - &expected)) < 1e-5);
    assert!(largest(&expected) > 0.25);
}
