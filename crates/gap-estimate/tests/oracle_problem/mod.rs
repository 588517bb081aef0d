//! Linear-Gaussian problems whose evidence, posterior and best diagonal Gaussian are known.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use gap_data::Batch;
use gap_infer::VariationalParams;
use gap_model::{ExactPosterior, LatentVariableModel, LinearGaussian};
use gap_torch::{NoiseStream, SeedKey};
use tch::{Device, Kind, Tensor};

/// A model with `latent_dim` latent dimensions, and ten more observed ones.
pub fn oracle(latent_dim: i64, noise_std: f64) -> LinearGaussian {
    let key = SeedKey::root(1);
    LinearGaussian::random(latent_dim, latent_dim + 10, noise_std, key, Device::Cpu)
}

/// `n` datapoints, and the latent variables that they were drawn with, `[B, D]`.
pub fn drawn(model: &LinearGaussian, n: u64) -> (Batch, Vec<f32>) {
    let ids: Vec<u64> = (0..n).collect();
    let mut noise = NoiseStream::new(SeedKey::root(2), &ids, Device::Cpu);
    let (x, z) = model.sample_joint(&mut noise).unwrap();
    (Batch::new(ids, x), floats(&z))
}

/// `λ` of the best diagonal Gaussian. Its mean is the posterior's, and its precisions are the diagonal of the
/// posterior's precision matrix.
pub fn optimum(model: &LinearGaussian, batch: &Batch) -> VariationalParams {
    let (mean, covariance) = model.posterior_moments(batch.x()).unwrap();
    let precision = Tensor::linalg_inv(&covariance);
    let log_std = precision.diagonal(0, 0, 1).log() * -0.5;
    VariationalParams(Tensor::cat(&[&mean, &log_std.expand_as(&mean)], 1).to_kind(Kind::Float))
}

/// `log p(x)`.
pub fn exact_evidence(model: &LinearGaussian, batch: &Batch) -> Vec<f64> {
    Vec::<f64>::try_from(model.log_evidence(batch.x()).unwrap()).unwrap()
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::<f32>::try_from(tensor.contiguous().view([-1])).unwrap()
}
