//! Convolutional networks: their shapes, hand-derived gradients, and storage.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod models;

use gap_model::{Activation, ConvShape, Decoder, LatentVariableModel, Likelihood, Network};
use gap_torch::checkpoint::Checkpoint;
use gap_torch::{NoiseStream, SeedKey};
use models::{conv_shapes, largest, learned_likelihoods};
use tch::{Device, Kind, Tensor};

fn normal(key: u64, rows: u64, width: i64) -> Tensor {
    let ids: Vec<u64> = (0..rows).collect();
    let mut noise = NoiseStream::new(SeedKey::root(key), &ids, Device::Cpu);
    noise.normal(1, width).squeeze_dim(0).to_kind(Kind::Double)
}

/// An encoder's and a decoder's network of every shape, in `f64`.
fn networks() -> Vec<(String, Network)> {
    let (key, device) = (SeedKey::root(1), Device::Cpu);
    let activations = [Activation::Tanh, Activation::Relu, Activation::Elu];
    let both = conv_shapes().into_iter().zip(activations);
    both.flat_map(|(shape, activation)| {
        let both = [
            ("encoder", shape.random_encoder(6, activation, key, device)),
            ("decoder", shape.random_decoder(4, activation, key, device)),
        ];
        both.map(|(name, network)| {
            (
                format!("{name} of {shape:?}"),
                network.to_kind(Kind::Double),
            )
        })
    })
    .collect()
}

#[test]
fn the_gradients_are_those_of_automatic_differentiation() {
    for (name, mut network) in networks() {
        let input = normal(2, 5, network.input_dim()).set_requires_grad(true);
        let weighing = normal(3, 5, network.output_dim());
        let memory = Tensor::zeros([network.n_weights() as i64], (Kind::Double, Device::Cpu));
        network.move_parameters_into(&memory);
        let by_hand = memory.zeros_like();
        let values = network.forward_keeping_values(&input.detach());
        let in_input = network.pull_back(&values, weighing.copy(), &by_hand, true);
        let without = memory.zeros_like();
        let nothing = network.pull_back(&values, weighing.copy(), &without, false);
        assert!(nothing.is_none() && without.equal(&by_hand), "{name}");

        // The weights of this copy are detached tensors, each of which can require a gradient.
        let network = network.to_kind(Kind::Double);
        let parameters: Vec<Tensor> = (network.parameters().into_iter())
            .map(|parameter| parameter.set_requires_grad(true))
            .collect();
        let output = network.forward(&input);
        let error = largest(&(&output - &values[values.len() - 1]));
        assert!(error < 1e-12, "{name}: output, {error:e}");
        (output * weighing).sum(Kind::Double).backward();
        let flat: Vec<Tensor> = parameters.iter().map(|p| p.grad().view([-1])).collect();
        let expected = Tensor::cat(&flat, 0);
        for (found, expected) in [(by_hand, expected), (in_input.unwrap(), input.grad())] {
            let error = largest(&(found - &expected)) / largest(&expected);
            assert!(error < 1e-12, "{name}: {error:e}");
        }
    }
}

#[test]
fn images_of_the_usual_sizes_are_halved_twice() {
    for (side, channels, n_outputs) in [(8, [4, 6], 3), (28, [8, 16], 20)] {
        let shape = ConvShape::with_stride_two(side, channels);
        let (key, device) = (SeedKey::root(1), Device::Cpu);
        let encoder = shape.random_encoder(n_outputs, Activation::Elu, key, device);
        let decoder = shape.random_decoder(n_outputs, Activation::Elu, key, device);
        assert_eq!(
            (encoder.input_dim(), encoder.output_dim()),
            (side * side, n_outputs)
        );
        assert_eq!(
            (decoder.input_dim(), decoder.output_dim()),
            (n_outputs, side * side)
        );
        let [first, second] = channels;
        let convolutions = 16 * (first + first * second) + first + second;
        let dense = (second * (side / 4).pow(2) + 1) * n_outputs;
        assert_eq!(encoder.n_weights() as i64, convolutions + dense);
        assert!(!encoder.is_perceptron() && !decoder.is_perceptron());
    }
}

#[test]
fn outputs_of_a_new_network_are_of_order_one() {
    for shape in [
        ConvShape::with_stride_two(28, [16, 32]),
        ConvShape::with_stride_two(8, [16, 32]),
    ] {
        let (key, device) = (SeedKey::root(1), Device::Cpu);
        let encoder = shape.random_encoder(10, Activation::Elu, key, device);
        let decoder = shape.random_decoder(10, Activation::Elu, key, device);
        for network in [encoder, decoder] {
            let input = normal(4, 200, network.input_dim()).to_kind(Kind::Float);
            let output = network.forward(&input);
            let size = output.square().mean(Kind::Double).sqrt().double_value(&[]);
            assert!((0.2..2.0).contains(&size), "{size}");
        }
    }
}

#[test]
fn a_convolutional_decoder_is_stored_and_restored() {
    let shape = ConvShape::with_stride_two(8, [2, 3]);
    for (name, likelihood) in learned_likelihoods(64) {
        let of_key = |key, likelihood: Likelihood| {
            let network = shape.random_decoder(4, Activation::Elu, SeedKey::root(key), Device::Cpu);
            Decoder::new(network, likelihood)
        };
        let decoder = of_key(1, likelihood.clone());
        let mut checkpoint = Checkpoint::new();
        decoder.store(&mut checkpoint, "decoder");
        let another = of_key(2, likelihood.clone());
        let restored = another
            .restored(&checkpoint, "decoder", Device::Cpu)
            .unwrap();
        let (x, z) = models::draws(&decoder, &[0, 1], 3);
        let [x, z] = [x, z].map(|t| t.to_kind(Kind::Float));
        let expected = decoder.log_joint(&x, &z).unwrap();
        assert!(
            restored.log_joint(&x, &z).unwrap().equal(&expected),
            "{name}"
        );

        let wider = ConvShape::with_stride_two(8, [3, 3]).random_decoder(
            4,
            Activation::Elu,
            SeedKey::root(1),
            Device::Cpu,
        );
        let refused = wider.restored(&checkpoint, "decoder", Device::Cpu);
        let message = refused.err().unwrap().to_string();
        assert!(message.contains("decoder.1.weight"), "{message}");
    }
}

#[test]
#[should_panic(expected = "windows leave no pixel out")]
fn windows_that_leave_pixels_out_are_refused() {
    let shape = ConvShape {
        side: 8,
        channels: [2, 2],
        kernel: 2,
        stride: 3,
    };
    shape.random_encoder(2, Activation::Elu, SeedKey::root(1), Device::Cpu);
}

#[test]
#[should_panic(expected = "a scale for each of 64 outputs, not 9")]
fn scales_for_another_number_of_outputs_are_refused() {
    let network = ConvShape::with_stride_two(8, [2, 2]).random_decoder(
        2,
        Activation::Elu,
        SeedKey::root(1),
        Device::Cpu,
    );
    let [(_, likelihood), _] = learned_likelihoods(9);
    Decoder::new(network, likelihood);
}
