//! Checks hand-derived gradients against automatic differentiation and finite differences, in `f64`.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod models;

use gap_model::activation::activate;
use gap_model::model::score_by_autograd;
use gap_model::{Activation, Decoder, LatentVariableModel, Likelihood, Mlp};
use gap_torch::{NoiseStream, SeedKey};
use models::{draws, largest, likelihoods, models};
use tch::{Device, Kind, Tensor};

#[test]
fn the_hand_derived_score_is_that_of_automatic_differentiation() {
    for (name, model) in models() {
        let (x, z) = draws(model.as_ref(), &[0, 1, 2, 3], 50); // 200 rows: more than one block
        let by_hand = model.score(&x, &z).unwrap();
        let by_autograd = score_by_autograd(model.as_ref(), &x, &z).unwrap();
        let difference = largest(&(&by_hand - by_autograd)) / largest(&by_hand);
        assert!(difference < 1e-12, "{name}: {difference}");
    }
}

#[test]
fn the_score_is_the_slope_of_the_log_joint() {
    let step = 1e-5;
    for (name, model) in models() {
        let (x, z) = draws(model.as_ref(), &[0, 1], 3);
        let score = model.score(&x, &z).unwrap();
        for d in 0..model.latent_dim() {
            let shift = Tensor::zeros_like(&z);
            let _ = shift.narrow(2, d, 1).fill_(step);
            let above = model.log_joint(&x, &(&z + &shift)).unwrap();
            let below = model.log_joint(&x, &(&z - &shift)).unwrap();
            let slope = (above - below) / (2.0 * step);
            let difference = largest(&(slope - score.select(2, d))) / largest(&score);
            // The errors of rounding (1e-16 / step) and of truncation (step²) both stay below this.
            assert!(difference < 1e-7, "{name}, axis {d}: {difference}");
        }
    }
}

#[test]
fn grey_pixels_are_refused_by_a_bernoulli_likelihood() {
    let x = Tensor::from_slice(&[0.0, 1.0, 1.0, 0.5]).view([2, 2]);
    let message = Likelihood::Bernoulli
        .check_support(&x)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("datapoint 1") && message.contains("0.5"),
        "{message}"
    );
    assert!(Likelihood::Bernoulli.check_support(&x.round()).is_ok());
}

#[test]
fn a_gaussian_likelihood_takes_any_finite_observation() {
    let likelihood = Likelihood::Gaussian { std: 2.0 };
    let x = Tensor::from_slice(&[0.5, -7.0, 1e30, 0.0]).view([2, 2]);
    assert!(likelihood.check_support(&x).is_ok());
    let message = likelihood.check_support(&x.log()).unwrap_err().to_string();
    assert!(
        message.contains("finite") && message.contains("datapoint 0"),
        "{message}"
    );
}

/// Checks every activation, with and without hidden layers.
#[test]
fn the_weight_gradient_is_that_of_automatic_differentiation() {
    for widths in [&[3, 5][..], &[4, 7, 6, 9]] {
        for activation in [Activation::Tanh, Activation::Relu, Activation::Elu] {
            let network = Mlp::random_perceptron(widths, activation, SeedKey::root(1), Device::Cpu);
            let mut network = network.to_kind(Kind::Double);
            let mut noise = NoiseStream::new(SeedKey::root(2), &[0, 1, 2, 3, 4], Device::Cpu);
            let normal = |noise: &mut NoiseStream, width| {
                noise.normal(1, width).squeeze_dim(0).to_kind(Kind::Double)
            };
            let input = normal(&mut noise, widths[0]).set_requires_grad(true);
            let weighing = normal(&mut noise, widths[widths.len() - 1]);

            // The weights lie in one array, so that automatic differentiation gives all their gradients at
            // once.
            let memory = Tensor::zeros([network.n_weights() as i64], (Kind::Double, Device::Cpu));
            network.move_parameters_into(&memory);
            let by_hand = memory.zeros_like();
            let values = network.forward_keeping_values(&input.detach());
            let in_input = network.pull_back(&values, weighing.copy(), &by_hand, true);
            assert!(
                network
                    .pull_back(&values, weighing.copy(), &by_hand, false)
                    .is_none()
            );

            let memory = memory.detach().set_requires_grad(true);
            network.move_parameters_into(&memory.detach());
            let objective =
                (network_of(&memory, widths, activation, &input) * &weighing).sum(Kind::Double);
            assert!(values[values.len() - 1].allclose(
                &network.forward(&input),
                1e-12,
                1e-12,
                false
            ));
            objective.backward();
            for (found, expected) in [(by_hand, memory.grad()), (in_input.unwrap(), input.grad())] {
                let error = (found - expected).abs().max().double_value(&[]);
                assert!(error < 1e-9, "{widths:?} {activation:?}: {error:e}");
            }
        }
    }
}

/// The output of the network whose weights lie in `memory`, layer after layer, with a graph to `memory`.
fn network_of(memory: &Tensor, widths: &[i64], activation: Activation, input: &Tensor) -> Tensor {
    let (mut value, mut start) = (input.shallow_clone(), 0);
    for (i, pair) in widths.windows(2).enumerate() {
        let (n_in, n_out) = (pair[0], pair[1]);
        let weight = memory.narrow(0, start, n_in * n_out).view([n_out, n_in]);
        let bias = memory.narrow(0, start + n_in * n_out, n_out);
        start += n_in * n_out + n_out;
        if i > 0 {
            value = activate(activation, &value);
        }
        value = value.mm(&weight.tr()) + bias;
    }
    value
}

/// Checks the gradient in the weights and the score of a decoder, with every likelihood.
#[test]
fn a_decoders_gradients_are_those_of_automatic_differentiation() {
    let widths = [4, 7, 9];
    for (name, likelihood) in likelihoods(9) {
        let network =
            Mlp::random_perceptron(&widths, Activation::Tanh, SeedKey::root(1), Device::Cpu);
        let n_weights = network.n_weights() as i64;
        let mut decoder = Decoder::new(network, likelihood).to_kind(Kind::Double);
        let likelihood = decoder.likelihood();
        let memory = Tensor::zeros([n_weights], (Kind::Double, Device::Cpu));
        decoder.network_mut().move_parameters_into(&memory);
        let (x, z) = draws(&decoder, &[0, 1, 2, 3], 1);
        let (z, scale) = (z.squeeze_dim(0), 0.25);
        let by_hand = memory.zeros_like();
        let values = decoder.network().forward_keeping_values(&z);
        let residual = likelihood.output_gradient(&x, &values[values.len() - 1]) * scale;
        let in_z = decoder
            .network()
            .pull_back(&values, residual, &by_hand, true);
        let score = in_z.unwrap() / scale - &z;

        let memory = memory.copy().set_requires_grad(true);
        let output = network_of(&memory, &widths, Activation::Tanh, &z);
        (likelihood.log_prob(&x, &output).sum(Kind::Double) * scale).backward();
        let error = (by_hand - memory.grad()).abs().max().double_value(&[]);
        assert!(error < 1e-9, "{name}: {error:e}");
        let expected = decoder.score(&x, &z.unsqueeze(0)).unwrap().squeeze_dim(0);
        let error = (score - expected).abs().max().double_value(&[]);
        assert!(error < 1e-9, "{name}: {error:e}");
    }
}
