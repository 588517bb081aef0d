//! Small models of every kind there is, in `f64` for tests of gradients and in `f32`.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use gap_model::{
    Activation, LatentVariableModel, Likelihood, LinearGaussian, Mlp, MlpDecoder, ModelError,
};
use gap_torch::{NoiseStream, SeedKey};
use tch::{Device, Kind, Tensor};

const ACTIVATIONS: [Activation; 3] = [Activation::Tanh, Activation::Relu, Activation::Elu];
const LIKELIHOODS: [Likelihood; 2] = [Likelihood::Bernoulli, Likelihood::Gaussian { std: 0.6 }];

fn decoder(hidden: &[i64], activation: Activation, likelihood: Likelihood) -> MlpDecoder {
    let widths: Vec<i64> = [3].iter().chain(hidden).chain(&[12]).copied().collect();
    let network = Mlp::random(&widths, activation, SeedKey::root(1), Device::Cpu);
    MlpDecoder::new(network, likelihood).to_kind(Kind::Double)
}

fn oracle() -> LinearGaussian {
    LinearGaussian::random(3, 12, 0.4, SeedKey::root(2), Device::Cpu).to_kind(Kind::Double)
}

/// A model that answers only what every model must.
struct OnlyItsJoint(MlpDecoder);

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

/// Every model, with `D = 3` and `X = 12`, and its name.
pub fn models() -> Vec<(String, Box<dyn LatentVariableModel>)> {
    let plain = OnlyItsJoint(decoder(&[7], Activation::Tanh, Likelihood::Bernoulli));
    let mut models: Vec<(String, Box<dyn LatentVariableModel>)> = vec![
        ("linear-Gaussian".to_owned(), Box::new(oracle())),
        ("only its joint".to_owned(), Box::new(plain)),
    ];
    for likelihood in LIKELIHOODS {
        for activation in ACTIVATIONS {
            for hidden in [&[][..], &[7], &[7, 5]] {
                let name = format!("{likelihood:?} {activation:?} {hidden:?}");
                models.push((name, Box::new(decoder(hidden, activation, likelihood))));
            }
        }
    }
    models
}

/// Observations of the model and standard-normal draws, one stream an id: `[B, X], [S, B, D]`.
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

/// Models in `f32`, as they are used; some of odd widths, whose rows are not aligned by themselves.
pub fn f32_models() -> Vec<Box<dyn LatentVariableModel>> {
    let key = SeedKey::root(1);
    let small = Mlp::random(&[10, 64, 64, 64], Activation::Tanh, key, Device::Cpu);
    let large = Mlp::random(&[50, 200, 200, 784], Activation::Elu, key, Device::Cpu);
    let odd = Mlp::random(&[3, 33, 7, 65], Activation::Tanh, key, Device::Cpu);
    let shallow = Mlp::random(&[10, 64], Activation::Relu, key, Device::Cpu);
    vec![
        Box::new(MlpDecoder::new(small, Likelihood::Bernoulli)),
        Box::new(MlpDecoder::new(large, Likelihood::Bernoulli)),
        Box::new(MlpDecoder::new(odd, Likelihood::Bernoulli)),
        Box::new(MlpDecoder::new(shallow, Likelihood::Gaussian { std: 0.3 })),
        Box::new(LinearGaussian::random(10, 64, 0.5, key, Device::Cpu)),
        Box::new(LinearGaussian::random(3, 9, 0.5, key, Device::Cpu)),
    ]
}

/// Which observation each row of `[S, B, D]` belongs to: `[S·B]`.
pub fn owners(z: &Tensor) -> Vec<i64> {
    let (n_samples, batch) = (z.size()[0], z.size()[1]);
    (0..n_samples).flat_map(|_| 0..batch).collect()
}
