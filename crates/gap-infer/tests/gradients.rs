//! `∇_λ ELBO` and the certificate against definitions that do not use them.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use gap_infer::ascent::Objective;
use gap_infer::certificate::certify;
use gap_infer::elbo_gradient::elbo_gradient;
use gap_infer::{DiagonalGaussian, EvaluableFamily, VariationalFamily, VariationalParams};
use gap_model::{
    Activation, ExactPosterior, LatentVariableModel, Likelihood, LinearGaussian, Mlp, MlpDecoder,
};
use gap_torch::{NoiseStream, SeedKey};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

fn normal(seed: u64, n_samples: i64, ids: &[u64], dim: i64) -> Tensor {
    NoiseStream::new(SeedKey::root(seed), ids, Device::Cpu).normal(n_samples, dim)
}

/// The ELBO on fixed noise, whose slope the gradient must be: `[B]`.
fn elbo(
    model: &dyn LatentVariableModel,
    family: &DiagonalGaussian,
    params: &Tensor,
    x: &Tensor,
    noise: &Tensor,
) -> Tensor {
    let params = VariationalParams(params.shallow_clone());
    let draws = family.transform(&params, noise);
    let expected =
        model
            .log_joint(x, &draws.z)
            .unwrap()
            .mean_dim([0_i64].as_slice(), false, Kind::Double);
    expected + family.entropy(&params)
}

#[test]
fn the_elbo_gradient_is_the_slope_of_the_elbo_on_the_same_noise() {
    let network = Mlp::random(&[3, 8, 12], Activation::Tanh, SeedKey::root(1), Device::Cpu);
    let model = MlpDecoder::new(network, Likelihood::Bernoulli).to_kind(Kind::Double);
    let family = DiagonalGaussian::new(3);
    let ids = [0, 1, 2, 3];
    let (x, _) = model
        .sample_joint(&mut NoiseStream::new(SeedKey::root(2), &ids, Device::Cpu))
        .unwrap();
    let params = normal(3, 1, &ids, 6).squeeze_dim(0).to_kind(Kind::Double) * 0.5;
    let noise = normal(4, 7, &ids, 3).to_kind(Kind::Double);
    let copied = VariationalParams(params.copy());
    let gradient = elbo_gradient(&model, &family, &copied, &x, &noise).unwrap();
    let step = 1e-5;
    for q in 0..6 {
        let shift = Tensor::zeros_like(&params);
        let _ = shift.narrow(1, q, 1).fill_(step);
        let above = elbo(&model, &family, &(&params + &shift), &x, &noise);
        let below = elbo(&model, &family, &(&params - &shift), &x, &noise);
        let slope = (above - below) / (2.0 * step);
        let error = (slope - gradient.select(1, q))
            .abs()
            .max()
            .double_value(&[]);
        assert!(error < 1e-7, "parameter {q}: {error}");
    }
}

#[test]
fn the_entropy_is_minus_the_expected_log_density() {
    let family = DiagonalGaussian::new(4);
    let params = VariationalParams(normal(5, 1, &[0, 1], 8).squeeze_dim(0));
    let mut noise = NoiseStream::new(SeedKey::root(6), &[0, 1], Device::Cpu);
    let draws = family.sample(&params, 20_000, &mut noise);
    let error = draws
        .log_q
        .mean_dim([0_i64].as_slice(), false, Kind::Double)
        + family.entropy(&params);
    // A log density of 4 dimensions has variance 4/2.
    let bound = 4.0 * (2.0_f64 / 20_000.0).sqrt();
    assert!(error.abs().max().double_value(&[]) < bound);
    let again = family.log_prob(&params, &draws.z);
    assert!((again - draws.log_q).abs().max().double_value(&[]) < 1e-3);
}

/// At a known distance from a known optimum: the estimate is near the truth, and its error honest.
#[test]
fn the_certificate_knows_its_distance_to_a_known_optimum() {
    for dim in [2, 10] {
        let model = LinearGaussian::random(dim, 15, 0.5, SeedKey::root(7), Device::Cpu);
        let family = DiagonalGaussian::new(dim);
        let ids: Vec<u64> = (0..60).collect();
        let (x, _) = model
            .sample_joint(&mut NoiseStream::new(SeedKey::root(8), &ids, Device::Cpu))
            .unwrap();
        let (mean, covariance) = model.posterior_moments(&x).unwrap();
        let log_std = Tensor::linalg_inv(&covariance).diagonal(0, 0, 1).log() * -0.5;
        let optimum = Tensor::cat(&[&mean, &log_std.expand_as(&mean)], 1).to_kind(Kind::Float);
        let scale = Tensor::cat(&[log_std.exp(), log_std.ones_like()], 0);
        for (size, seed) in [(0.02, 9), (0.1, 10)] {
            let direction =
                normal(seed, 1, &ids, 2 * dim).squeeze_dim(0) * scale.to_kind(Kind::Float);
            let params = VariationalParams(&optimum + direction * size);
            let truth = family.kl_to_gaussian(&params, &mean, &covariance)
                - family.least_kl_to_gaussian(&covariance);
            let rows: Vec<usize> = (0..ids.len()).collect();
            let of_rows = params.to_rows();
            let of_rows: Vec<&[f64]> = of_rows.iter().map(Vec::as_slice).collect();
            let mut objective = Objective::new(&model, &x).unwrap();
            let estimates = certify(&mut objective, &rows, &of_rows, 0, SeedKey::root(11)).unwrap();
            let mut ratios: Vec<f64> = Vec::new();
            let mut covered = 0;
            for (b, estimate) in estimates.iter().enumerate() {
                let truth = truth.double_value(&[b as i64]);
                ratios.push(estimate.nats / truth);
                covered += usize::from(estimate.bound_nats() >= truth);
            }
            ratios.sort_by(f64::total_cmp);
            let median = ratios[ratios.len() / 2];
            assert!(
                (0.85..1.15).contains(&median),
                "D = {dim}, size {size}: median ratio {median}"
            );
            assert!(
                covered * 100 >= 95 * ids.len(),
                "D = {dim}, size {size}: {covered} of {} covered",
                ids.len()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// `KL(q ‖ p) >= 0`, with the least value of the family where it says it is.
    #[test]
    fn no_member_of_the_family_is_closer_than_its_closest(seed in 0..1000_u64) {
        let model = LinearGaussian::random(3, 6, 0.7, SeedKey::root(seed), Device::Cpu);
        let family = DiagonalGaussian::new(3);
        let x = normal(seed, 1, &[0], 6).squeeze_dim(0);
        let (mean, covariance) = model.posterior_moments(&x).unwrap();
        let params = VariationalParams(normal(seed + 1, 1, &[0], 6).squeeze_dim(0));
        let kl = family.kl_to_gaussian(&params, &mean, &covariance).double_value(&[0]);
        let least = family.least_kl_to_gaussian(&covariance);
        prop_assert!(least > -1e-9 && kl >= least - 1e-9, "{kl} below {least}");
    }
}
