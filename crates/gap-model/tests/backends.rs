//! Checks every backend of this processor against libtorch in `f64`.

use gap_model::{
    Activation, Backend, LatentVariableModel, Likelihood, Mlp, MlpDecoder, NetworkLearner,
};
use gap_torch::{NoiseStream, SeedKey};
use tch::{Device, Kind, Tensor};

/// `|a − b| / |b|` in the Euclidean norm.
fn relative_error(a: &Tensor, b: &Tensor) -> f64 {
    let norm = |t: Tensor| t.square().sum(Kind::Double).sqrt().double_value(&[]);
    norm(a.to_kind(Kind::Double) - b) / norm(b.shallow_clone())
}

#[test]
fn scores_and_joints_are_those_of_libtorch() {
    for backend in Backend::all_supported() {
        for widths in [
            &[3, 5][..],
            &[10, 64, 64, 64],
            &[50, 200, 200, 784],
            &[4, 40, 17, 33, 20, 64],
        ] {
            for activation in [Activation::Tanh, Activation::Relu, Activation::Elu] {
                for likelihood in [Likelihood::Bernoulli, Likelihood::Gaussian { std: 0.3 }] {
                    let network =
                        Mlp::random_perceptron(widths, activation, SeedKey::root(1), Device::Cpu);
                    let model = MlpDecoder::new(network, likelihood.clone()).with_backend(backend);
                    let double = model.to_kind(Kind::Double);
                    let ids: Vec<u64> = (0..9).collect();
                    let mut noise = NoiseStream::new(SeedKey::root(2), &ids, Device::Cpu);
                    let (x, _) = model.sample_joint(&mut noise).unwrap();
                    let z = noise.normal(20, model.latent_dim()) * 2.0;
                    let [x_double, z_double] = [&x, &z].map(|t| t.to_kind(Kind::Double));
                    let score = model.score(&x, &z).unwrap();
                    let error =
                        relative_error(&score, &double.score(&x_double, &z_double).unwrap());
                    assert!(
                        error < 2e-6,
                        "{backend} {widths:?} {activation:?}: {error:e}"
                    );
                    let joint = model.log_joint(&x, &z).unwrap();
                    assert_eq!(joint.kind(), Kind::Double);
                    let expected = double.log_joint(&x_double, &z_double).unwrap();
                    let error = relative_error(&joint, &expected);
                    assert!(
                        error < 1e-6,
                        "{backend} {widths:?} {activation:?}: {error:e}"
                    );
                }
            }
        }
    }
}

/// A decoder whose weights have changed is packed again.
#[test]
fn weights_that_have_changed_are_not_forgotten() {
    let network =
        Mlp::random_perceptron(&[3, 8, 5], Activation::Tanh, SeedKey::root(1), Device::Cpu);
    let mut model = MlpDecoder::new(network, Likelihood::Bernoulli);
    let mut noise = NoiseStream::new(SeedKey::root(2), &[0, 1], Device::Cpu);
    let (x, z) = model.sample_joint(&mut noise).unwrap();
    let z = z.unsqueeze(0);
    let before = model.score(&x, &z).unwrap();
    {
        let _no_grad = tch::no_grad_guard();
        for mut parameter in model.network_mut().parameters() {
            let _ = parameter.g_mul_scalar_(2.0);
        }
    }
    let after = model.score(&x, &z).unwrap();
    let expected = model.to_kind(Kind::Double);
    let expected = expected
        .score(&x.to_kind(Kind::Double), &z.to_kind(Kind::Double))
        .unwrap();
    assert!(relative_error(&after, &before.to_kind(Kind::Double)) > 1e-2);
    assert!(relative_error(&after, &expected) < 1e-5);
}

/// The networks have no hidden layers or four, one of which is narrower than a vector register.
#[test]
fn a_learners_gradient_in_its_input_is_that_of_libtorch() {
    for backend in Backend::all_supported() {
        for widths in [&[3, 20][..], &[50, 784], &[4, 40, 17, 33, 5, 64]] {
            for activation in [Activation::Tanh, Activation::Relu, Activation::Elu] {
                let network =
                    Mlp::random_perceptron(widths, activation, SeedKey::root(1), Device::Cpu);
                let mut network = network.with_backend(backend);
                let ids: Vec<u64> = (0..37).collect();
                let mut noise = NoiseStream::new(SeedKey::root(2), &ids, Device::Cpu);
                let [input, gradient] = [widths[0], widths[widths.len() - 1]]
                    .map(|width| noise.normal(1, width).squeeze_dim(0));
                let double = network.to_kind(Kind::Double);
                let mut learner = NetworkLearner::new(&mut network, ids.len());
                let output = learner.forward(&input);
                let in_input = learner.step_and_pull_back(gradient.shallow_clone(), 1e-3);
                learner.finish();

                let values = double.forward_keeping_values(&input.to_kind(Kind::Double));
                let into = Tensor::zeros([double.n_weights() as i64], (Kind::Double, Device::Cpu));
                let gradient = gradient.to_kind(Kind::Double);
                let expected = double.pull_back(&values, gradient, &into, true).unwrap();
                let error = relative_error(&output, &values[values.len() - 1]);
                assert!(
                    error < 2e-6,
                    "{backend} {widths:?} {activation:?}: output, {error:e}"
                );
                let error = relative_error(&in_input, &expected);
                assert!(
                    error < 2e-6,
                    "{backend} {widths:?} {activation:?}: {error:e}"
                );

                // Adam's first step moves a weight by the learning rate, uphill, unless its gradient is tiny.
                let pairs = network.parameters().into_iter().zip(double.parameters());
                let moved: Vec<Tensor> = pairs.map(|(new, old)| (new - old).view([-1])).collect();
                let moved = Tensor::cat(&moved, 0);
                let is_large = into.abs().gt(1e-3);
                let up = (moved * into.sign() / 1e-3 - 1.0)
                    .abs()
                    .masked_select(&is_large);
                let error = up.max().double_value(&[]);
                assert!(
                    error < 1e-2,
                    "{backend} {widths:?} {activation:?}: step, {error:e}"
                );
            }
        }
    }
}
