//! A datapoint's results have the same bits in any batch, with every backend and every code path of
//! libtorch's math library.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod models;

use gap_model::{Activation, Backend, ConvShape, Mlp, PackedEncoder};
use gap_torch::math_library::{MKL_SWITCH_ENV_VARIABLE, MklPath, detect_mkl_path};
use gap_torch::{NoiseStream, SeedKey, uniform_permutation};
use models::{conv_shapes, f32_models, owners};
use std::process::Command;
use tch::{Device, Tensor};

/// The environment variable that is set in the processes that this file starts.
const AGAIN: &str = "AMORTGAP_TEST_AGAIN";

#[test]
fn a_datapoint_has_the_same_joint_and_score_alone_and_in_a_batch() {
    for (name, model) in f32_models() {
        let ids: Vec<u64> = (0..37).collect();
        let mut noise = NoiseStream::new(SeedKey::root(5), &ids, Device::Cpu);
        let (x, _) = model.sample_joint(&mut noise).unwrap();
        let z = noise.normal(16, model.latent_dim());
        let (joint, score) = (
            model.log_joint(&x, &z).unwrap(),
            model.score(&x, &z).unwrap(),
        );
        for b in [0, 5, 36] {
            let (one_x, one_z) = (x.narrow(0, b, 1), z.narrow(1, b, 1));
            let one_joint = model.log_joint(&one_x, &one_z).unwrap();
            let one_score = model.score(&one_x, &one_z).unwrap();
            assert!(
                one_joint.equal(&joint.narrow(1, b, 1)),
                "{name}: joint of {b}"
            );
            assert!(
                one_score.equal(&score.narrow(1, b, 1)),
                "{name}: score of {b}"
            );
        }
    }
}

/// One conditioned model evaluates batches of changing sizes, so that each reuses memory that had another size.
#[test]
fn a_row_has_the_same_bits_in_any_batch() {
    for (name, model) in f32_models() {
        let ids: Vec<u64> = (0..37).collect();
        let mut noise = NoiseStream::new(SeedKey::root(5), &ids, Device::Cpu);
        let (x, _) = model.sample_joint(&mut noise).unwrap();
        let z = noise.normal(16, model.latent_dim());
        let (observations, z) = (owners(&z), z.view([-1, model.latent_dim()])); // 592 rows
        let mut conditioned = model.condition(&x).unwrap();
        let together = conditioned.log_joint_and_score(&observations, &z).unwrap();
        let kept = together.score.copy();
        let order = uniform_permutation(SeedKey::root(6), observations.len());
        for n in [1, 592, 3, 127, 128, 129, 300, 592] {
            let part: Vec<i64> = order[..n].iter().map(|&row| row as i64).collect();
            let index = Tensor::from_slice(&part);
            let of_part: Vec<i64> = part.iter().map(|&row| observations[row as usize]).collect();
            let z_part = z.index_select(0, &index);
            let score = conditioned.score(&of_part, &z_part).unwrap();
            let both = conditioned.log_joint_and_score(&of_part, &z_part).unwrap();
            assert!(score.is_contiguous() && score.kind() == model.kind());
            assert!(
                score.equal(&kept.index_select(0, &index)),
                "{name}: {n} rows"
            );
            assert!(both.score.equal(&score), "{name}: {n} rows, with the joint");
            let expected = together.log_joint.index_select(0, &index);
            assert!(both.log_joint.equal(&expected), "{name}: joint of {n} rows");
        }
        assert!(together.score.equal(&kept), "a result was written over");
        // The score does not depend either on the other observations of the conditioned model, or on where z
        // lies in memory.
        let mut alone = model.condition(&x.narrow(0, 5, 1)).unwrap();
        let score = alone.score(&[0], &z.narrow(0, 5, 1)).unwrap();
        assert!(
            score.equal(&kept.narrow(0, 5, 1)),
            "{name}: observation 5 alone"
        );
    }
}

/// Evaluates each network through [`PackedEncoder`], as encoders do.
#[test]
fn a_network_says_the_same_of_a_datapoint_in_any_batch() {
    let (key, device) = (SeedKey::root(1), Device::Cpu);
    let mut networks = vec![Mlp::random_perceptron(
        &[65, 33, 7],
        Activation::Elu,
        key,
        device,
    )];
    for shape in conv_shapes()
        .into_iter()
        .chain([ConvShape::with_stride_two(28, [8, 16])])
    {
        networks.push(shape.random_encoder(6, Activation::Elu, key, device));
    }
    for network in networks {
        let packed = PackedEncoder::new(&network);
        let ids: Vec<u64> = (0..300).collect();
        let mut noise = NoiseStream::new(SeedKey::root(7), &ids, device);
        let input = noise.normal(1, network.input_dim()).squeeze_dim(0);
        let together = packed.forward(&network, &input);
        for (start, n) in [(0, 1), (5, 127), (31, 128), (100, 129), (299, 1)] {
            let alone = packed.forward(&network, &input.narrow(0, start, n).copy());
            assert!(
                alone.equal(&together.narrow(0, start, n)),
                "{n} from {start}"
            );
        }
    }
}

/// Runs this file's tests again in other processes: one for each backend, and one with the MKL switch off. In
/// those processes, this test checks only that the backend and the switch are as set.
#[test]
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn the_same_holds_on_every_other_path() {
    if std::env::var_os(AGAIN).is_some() {
        let asked = |variable: &str| std::env::var(variable).unwrap_or_default();
        if asked(MKL_SWITCH_ENV_VARIABLE) == "off" {
            assert_eq!(detect_mkl_path(), MklPath::Stock);
        }
        let backend = Backend::from_environment().unwrap();
        assert_eq!(backend.to_string(), asked(Backend::ENVIRONMENT_VARIABLE));
        return;
    }
    let backends = Backend::all_supported();
    let mut paths = vec![("off", Backend::Libtorch)];
    paths.extend(backends.iter().map(|&backend| ("", backend)));
    for (switch, backend) in paths {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again
            .env(AGAIN, "1")
            .env(MKL_SWITCH_ENV_VARIABLE, switch)
            .env(Backend::ENVIRONMENT_VARIABLE, backend.to_string());
        let output = again.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{switch}, {backend}: {said}");
        assert!(said.contains("4 passed"), "{said}");
    }
}
