//! Checks the closed forms of models against definitions that do not use them.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod models;

use gap_model::{
    ExactPosterior, LatentVariableModel, LinearGaussian, SeriesCoefficients, TimeSeries,
    hierarchical,
};
use gap_spec::MAX_CONDITION_NUMBER;
use gap_torch::checkpoint::Checkpoint;
use gap_torch::{NoiseStream, SeedKey};
use models::DIRECT_SERIES;
use std::f64::consts::TAU;
use tch::{Device, Kind, Tensor};

fn model(latent_dim: i64, observed_dim: i64, noise_std: f64) -> LinearGaussian {
    LinearGaussian::random(
        latent_dim,
        observed_dim,
        noise_std,
        SeedKey::root(7),
        Device::Cpu,
    )
    .to_kind(Kind::Double)
}

fn observations(model: &(impl LatentVariableModel + ?Sized), n: u64) -> Tensor {
    let ids: Vec<u64> = (0..n).collect();
    let mut noise = NoiseStream::new(SeedKey::root(8), &ids, Device::Cpu);
    model
        .sample_joint(&mut noise)
        .unwrap()
        .0
        .to_kind(Kind::Double)
}

/// Every model with closed forms.
fn models() -> Vec<Box<dyn ExactPosterior>> {
    let mut models: Vec<Box<dyn ExactPosterior>> = Vec::new();
    for (latent, observed, noise_std) in [(2, 5, 0.5), (10, 8, 0.1), (50, 60, 1.0)] {
        models.push(Box::new(model(latent, observed, noise_std)));
    }
    models.push(Box::new(
        hierarchical::new_linear_hierarchical(Device::Cpu).to_kind(Kind::Double),
    ));
    for coefficients in [SeriesCoefficients::SAW_NOTEBOOK, DIRECT_SERIES] {
        let series = TimeSeries::new(coefficients, Device::Cpu);
        models.push(Box::new(series.to_kind(Kind::Double)));
    }
    models
}

/// Bayes' rule: `log p(x) = log p(x, z) − log p(z | x)` for every `z`.
#[test]
fn bayes_rule_holds_at_any_z() {
    for model in models() {
        let model = model.as_ref();
        let latent = model.latent_dim();
        let x = observations(model, 4);
        let (mean, covariance) = model.posterior_moments(&x).unwrap();
        let z = NoiseStream::new(SeedKey::root(9), &[0, 1, 2, 3], Device::Cpu)
            .normal(3, latent)
            .to_kind(Kind::Double);
        let centred = &z - &mean;
        let quadratic = (centred.matmul(&Tensor::linalg_inv(&covariance)) * &centred)
            .sum_dim_intlist([-1_i64].as_slice(), false, Kind::Double);
        let log_det = covariance.slogdet().1;
        let log_posterior = (quadratic + log_det + latent as f64 * TAU.ln()) * -0.5;
        let by_bayes = model.log_joint(&x, &z).unwrap() - log_posterior;
        let error = (by_bayes - model.log_evidence(&x).unwrap())
            .abs()
            .max()
            .double_value(&[]);
        assert!(error < 1e-8, "D = {latent}: {error}");
    }
}

/// `x` has mean `b` and covariance `WWᵀ + s²I`, so the mean of `log p(x)` over draws is minus its entropy.
#[test]
fn draws_follow_the_evidence() {
    let model = model(3, 6, 0.5);
    let n = 20_000;
    let log_evidence = model.log_evidence(&observations(&model, n)).unwrap();
    // Minus the entropy is log p(b) − X/2, and a draw's log density varies around it with variance X/2.
    let expected = {
        let factor_free = model
            .log_evidence(&model_mean(&model))
            .unwrap()
            .double_value(&[0]);
        factor_free - 6.0 / 2.0
    };
    let error = log_evidence.mean(Kind::Double).double_value(&[]) - expected;
    assert!(error.abs() < 4.0 * (3.0 / n as f64).sqrt(), "{error}");
}

/// The offset `b`, which is the exact mean of `x`, where its density is greatest.
fn model_mean(model: &LinearGaussian) -> Tensor {
    let mut checkpoint = gap_torch::checkpoint::Checkpoint::new();
    model.store(&mut checkpoint);
    checkpoint
        .get("linear_gaussian.bias", Device::Cpu)
        .unwrap()
        .view([1, -1])
}

/// The closed forms at the largest condition number that a spec may have, against the singular values of the
/// loadings as they are stored. At ten times that number the variances would be off by several percent, and at a
/// hundred times some of them would be negative.
#[test]
fn closed_forms_are_right_up_to_the_largest_condition_number() {
    for dims in [[2, 4], [50, 50], [50, 100], [256, 512]] {
        for std in [1e-6, 1.0, 1e12] {
            let key = SeedKey::root(1);
            let number = MAX_CONDITION_NUMBER;
            let model = LinearGaussian::with_condition_number(dims, std, number, key, Device::Cpu);
            let ids: Vec<u64> = (0..8).collect();
            let mut noise = NoiseStream::new(SeedKey::root(8), &ids, Device::Cpu);
            let (x, _) = model.sample_joint(&mut noise).unwrap();
            let mut stored = Checkpoint::new();
            model.store(&mut stored);
            let stored = |name: &str| {
                let name = format!("linear_gaussian.{name}");
                let tensor = stored.get(&name, Device::Cpu).unwrap();
                tensor.to_kind(Kind::Double)
            };
            let (u, singular, v) = stored("weight").svd(true, true);
            let variances = singular.square() + std * std;
            // The posterior covariance has the eigenvalues s² / (a² + s²).
            let (_, covariance) = model.posterior_moments(&x).unwrap();
            let diagonal = v.tr().matmul(&covariance).matmul(&v).diagonal(0, 0, 1);
            let off = (diagonal * &variances / (std * std) - 1.0).abs().max();
            assert!(off.double_value(&[]) < 1e-3, "{dims:?}, {std:e}: {off:?}");
            let least = covariance.linalg_eigvalsh("L").min().double_value(&[]);
            assert!(
                (least * 2.0 * number - 1.0).abs() < 1e-2,
                "{dims:?}: {least:e}"
            );
            // The evidence splits into the space of the loadings and the rest.
            let centred = x.to_kind(Kind::Double) - stored("bias");
            let within = centred.matmul(&u);
            let rest = &centred - within.matmul(&u.tr());
            let sum = |t: Tensor| t.sum_dim_intlist([1_i64].as_slice(), false, Kind::Double);
            let squares = sum(rest.square()) / (std * std) + sum(within.square() / &variances);
            let n_rest = (dims[1] - dims[0]) as f64;
            let log_det = variances.log().sum(Kind::Double) + n_rest * (std * std).ln();
            let expected = (squares + log_det + dims[1] as f64 * TAU.ln()) * -0.5;
            let off = (model.log_evidence(&x).unwrap() - expected).abs().max();
            assert!(off.double_value(&[]) < 1e-5, "{dims:?}, {std:e}: {off:?}");
        }
    }
}
