//! Models of every kind: small ones in `f64` to test gradients, and others in `f32`.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use gap_model::likelihood::{DiscretizedLogistic, LearnedGaussian, LearnedScale};
use gap_model::{
    Activation, ConvShape, Decoder, LatentVariableModel, Likelihood, LinearGaussian, Mlp,
    ModelError, Network, NonlinearHierarchical, SeriesCoefficients, TimeSeries, hierarchical,
};
use gap_torch::{NoiseStream, SeedKey};
use tch::{Device, Kind, Tensor};

const ACTIVATIONS: [Activation; 3] = [Activation::Tanh, Activation::Relu, Activation::Elu];

/// Scales that differ between dimensions, some of them near their floor.
pub fn learned_scale(observed_dim: i64) -> LearnedScale {
    let raw = Tensor::linspace(-4.0, 0.5, observed_dim, (Kind::Float, Device::Cpu));
    LearnedScale::from_raw(raw, 0.05)
}

/// The likelihoods without learned parameters, and their names.
pub fn given_likelihoods() -> [(&'static str, Likelihood); 2] {
    [
        ("Bernoulli", Likelihood::Bernoulli),
        ("Gaussian", Likelihood::Gaussian { std: 0.6 }),
    ]
}

/// The likelihoods that learn a scale, for `observed_dim` dimensions, and their names.
pub fn learned_likelihoods(observed_dim: i64) -> [(&'static str, Likelihood); 2] {
    let std = learned_scale(observed_dim);
    let logistic = DiscretizedLogistic {
        n_levels: 17,
        scale: learned_scale(observed_dim),
    };
    [
        (
            "learned Gaussian",
            Likelihood::LearnedGaussian(LearnedGaussian { std }),
        ),
        (
            "discretized logistic",
            Likelihood::DiscretizedLogistic(logistic),
        ),
    ]
}

/// All likelihoods, for `observed_dim` dimensions, and their names.
pub fn likelihoods(observed_dim: i64) -> Vec<(&'static str, Likelihood)> {
    let learned = learned_likelihoods(observed_dim);
    given_likelihoods().into_iter().chain(learned).collect()
}

fn perceptron(hidden: &[i64], activation: Activation) -> Network {
    let widths: Vec<i64> = [3].iter().chain(hidden).chain(&[12]).copied().collect();
    Mlp::random_perceptron(&widths, activation, SeedKey::root(1), Device::Cpu)
}

fn double(network: Network, likelihood: &Likelihood) -> Box<Decoder> {
    Box::new(Decoder::new(network, likelihood.clone()).to_kind(Kind::Double))
}

/// Convolutional shapes with even and odd sides, some with padding that no window reaches.
pub fn conv_shapes() -> [ConvShape; 3] {
    let odd = ConvShape {
        side: 7,
        channels: [3, 2],
        kernel: 3,
        stride: 2,
    };
    let far_apart = ConvShape {
        side: 9,
        channels: [2, 3],
        kernel: 4,
        stride: 3,
    };
    [ConvShape::with_stride_two(8, [2, 5]), odd, far_apart]
}

fn oracle() -> LinearGaussian {
    LinearGaussian::random(3, 12, 0.4, SeedKey::root(2), Device::Cpu).to_kind(Kind::Double)
}

/// A decoder that implements only the methods of a model that have no default.
struct OnlyItsJoint(Decoder);

impl LatentVariableModel for OnlyItsJoint {
    fn latent_dim(&self) -> i64 {
        self.0.latent_dim()
    }

    fn observed_dim(&self) -> i64 {
        self.0.observed_dim()
    }

    fn device(&self) -> Device {
        self.0.device()
    }

    fn kind(&self) -> Kind {
        self.0.kind()
    }

    fn log_joint(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        self.0.log_joint(x, z)
    }

    fn sample_joint(&self, noise: &mut NoiseStream) -> Result<(Tensor, Tensor), ModelError> {
        self.0.sample_joint(noise)
    }

    fn check_support(&self, x: &Tensor) -> Result<(), ModelError> {
        self.0.check_support(x)
    }
}

/// A series in which the mean of `z_n` does not depend on `x_{n−1}`.
pub const DIRECT_SERIES: SeriesCoefficients = SeriesCoefficients {
    into_latent: 0.0,
    into_next: -0.8,
    loading: 0.6,
    offset: 1.0,
    noise_std: 0.3,
};

/// The models with one latent dimension, and their names.
fn one_dimensional(kind: Kind) -> Vec<(String, Box<dyn LatentVariableModel>)> {
    let device = Device::Cpu;
    let nonlinear = NonlinearHierarchical::new(0.7, device).to_kind(kind);
    let mut models: Vec<(String, Box<dyn LatentVariableModel>)> = vec![
        (
            "linear hierarchical".to_owned(),
            Box::new(hierarchical::new_linear_hierarchical(device).to_kind(kind)),
        ),
        ("nonlinear hierarchical".to_owned(), Box::new(nonlinear)),
    ];
    for coefficients in [SeriesCoefficients::SAW_NOTEBOOK, DIRECT_SERIES] {
        let series = TimeSeries::new(coefficients, device).to_kind(kind);
        models.push((format!("{coefficients:?}"), Box::new(series)));
    }
    models
}

/// Small models of every kind in `f64`, and their names.
pub fn models() -> Vec<(String, Box<dyn LatentVariableModel>)> {
    let network = perceptron(&[7], Activation::Tanh);
    let plain = OnlyItsJoint(*double(network, &Likelihood::Bernoulli));
    let mut models: Vec<(String, Box<dyn LatentVariableModel>)> = vec![
        ("linear-Gaussian".to_owned(), Box::new(oracle())),
        ("only its joint".to_owned(), Box::new(plain)),
    ];
    models.extend(one_dimensional(Kind::Double));
    for (name, likelihood) in given_likelihoods() {
        for activation in ACTIVATIONS {
            for hidden in [&[][..], &[7], &[7, 5], &[7, 5, 6, 4]] {
                let model = double(perceptron(hidden, activation), &likelihood);
                models.push((format!("{name} {activation:?} {hidden:?}"), model));
            }
        }
    }
    for (name, likelihood) in learned_likelihoods(12) {
        for hidden in [&[][..], &[7, 5]] {
            let model = double(perceptron(hidden, Activation::Elu), &likelihood);
            models.push((format!("{name} {hidden:?}"), model));
        }
    }
    for (shape, activation) in conv_shapes().into_iter().zip(ACTIVATIONS) {
        for (name, likelihood) in likelihoods(shape.side.pow(2)) {
            let network = shape.random_decoder(3, activation, SeedKey::root(1), Device::Cpu);
            let model = double(network, &likelihood);
            models.push((format!("{name} {shape:?}"), model));
        }
    }
    models
}

/// Draws observations from the model, and standard-normal `z`, with one noise stream for each id, in `f64`:
/// `[B, X], [S, B, D]`.
pub fn draws(model: &dyn LatentVariableModel, ids: &[u64], n_samples: i64) -> (Tensor, Tensor) {
    let mut noise = NoiseStream::new(SeedKey::root(3), ids, Device::Cpu);
    let (x, _) = model
        .sample_joint(&mut NoiseStream::new(SeedKey::root(4), ids, Device::Cpu))
        .unwrap();
    let z = noise.normal(n_samples, model.latent_dim());
    (x.to_kind(Kind::Double), z.to_kind(Kind::Double))
}

/// The largest magnitude in `tensor`.
pub fn largest(tensor: &Tensor) -> f64 {
    tensor.abs().max().double_value(&[])
}

/// Models in `f32`, as experiments use them, and their names. Some have odd widths, so that their rows are
/// aligned only with padding.
pub fn f32_models() -> Vec<(String, Box<dyn LatentVariableModel>)> {
    let (key, device) = (SeedKey::root(1), Device::Cpu);
    let mut models: Vec<(String, Box<dyn LatentVariableModel>)> = Vec::new();
    for (widths, activation, likelihood) in [
        (
            &[10, 64, 64, 64][..],
            Activation::Tanh,
            Likelihood::Bernoulli,
        ),
        (&[50, 200, 200, 784], Activation::Elu, Likelihood::Bernoulli),
        (&[3, 33, 7, 65], Activation::Tanh, Likelihood::Bernoulli),
        (
            &[10, 64],
            Activation::Relu,
            Likelihood::Gaussian { std: 0.3 },
        ),
        (
            &[4, 9, 17, 33, 5, 21],
            Activation::Relu,
            Likelihood::Gaussian { std: 0.3 },
        ),
    ] {
        let name = format!("{widths:?} {likelihood:?}");
        let network = Mlp::random_perceptron(widths, activation, key, device);
        models.push((name, Box::new(Decoder::new(network, likelihood))));
    }
    for (name, likelihood) in learned_likelihoods(65) {
        let network = Mlp::random_perceptron(&[3, 33, 7, 65], Activation::Tanh, key, device);
        let model = Decoder::new(network, likelihood);
        models.push((name.to_owned(), Box::new(model)));
    }
    let mut shapes = conv_shapes().to_vec();
    shapes.push(ConvShape::with_stride_two(28, [8, 16]));
    for shape in shapes {
        let network = shape.random_decoder(5, Activation::Elu, key, device);
        let model = Decoder::new(network, Likelihood::Bernoulli);
        models.push((format!("{shape:?}"), Box::new(model)));
    }
    models.extend(one_dimensional(Kind::Float));
    for (dim, observed_dim) in [(10, 64), (3, 9)] {
        let model = LinearGaussian::random(dim, observed_dim, 0.5, key, device);
        models.push((format!("linear-Gaussian {dim}"), Box::new(model)));
    }
    models
}

/// The observation that each row of `z`, `[S, B, D]`, belongs to: `[S·B]`.
pub fn owners(z: &Tensor) -> Vec<i64> {
    let (n_samples, batch) = (z.size()[0], z.size()[1]);
    (0..n_samples).flat_map(|_| 0..batch).collect()
}
