//! `∇_λ ELBO` as each part of the library computes it, against independent definitions.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use gap_infer::ascent::{
    EvaluationRequest, NoiseDraws, Objective, n_draws_for_latent_dim, whitened_sobol_normals,
};
use gap_infer::elbo_gradient::elbo_gradient;
use gap_infer::{
    ClosedFormGaussianFamily, DiagonalGaussian, EvaluableDensityFamily, VariationalFamily,
    VariationalParams,
};
use gap_model::{
    Activation, ExactPosterior, LatentVariableModel, Likelihood, LinearGaussian, Mlp, MlpDecoder,
};
use gap_torch::{NoiseStream, SeedKey};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

fn normal(seed: u64, n_samples: i64, ids: &[u64], dim: i64) -> Tensor {
    NoiseStream::new(SeedKey::root(seed), ids, Device::Cpu).normal(n_samples, dim)
}

/// The ELBO on fixed noise, `[B]`. The gradients under test must equal its slope.
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

/// A decoder with `D = 3` and `X = 12`, in `f64`.
fn decoder() -> MlpDecoder {
    let network =
        Mlp::random_perceptron(&[3, 8, 12], Activation::Tanh, SeedKey::root(1), Device::Cpu);
    MlpDecoder::new(network, Likelihood::Bernoulli).to_kind(Kind::Double)
}

/// One draw from the model for each id: `[B, X]`.
fn observations(model: &dyn LatentVariableModel, ids: &[u64]) -> Tensor {
    let mut noise = NoiseStream::new(SeedKey::root(2), ids, Device::Cpu);
    model.sample_joint(&mut noise).unwrap().0
}

#[test]
fn the_elbo_gradient_is_the_slope_of_the_elbo_on_the_same_noise() {
    let model = decoder();
    let family = DiagonalGaussian::new(3);
    let ids = [0, 1, 2, 3];
    let x = observations(&model, &ids);
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
fn the_elbo_gradient_is_that_of_automatic_differentiation() {
    let model = decoder();
    let family = DiagonalGaussian::new(3);
    let ids = [0, 1, 2, 3];
    let x = observations(&model, &ids);
    let params = normal(3, 1, &ids, 6).squeeze_dim(0).to_kind(Kind::Double) * 0.5;
    let noise = normal(4, 7, &ids, 3).to_kind(Kind::Double);
    let copied = VariationalParams(params.copy());
    let gradient = elbo_gradient(&model, &family, &copied, &x, &noise).unwrap();
    let params = params.set_requires_grad(true);
    elbo(&model, &family, &params, &x, &noise)
        .sum(Kind::Double)
        .backward();
    let error = (params.grad() - &gradient).abs().max().double_value(&[]);
    assert!(
        error < 1e-9 * gradient.abs().max().double_value(&[]),
        "{error}"
    );
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
    // The log density of 4 standard normals has variance 4/2.
    let bound = 4.0 * (2.0_f64 / 20_000.0).sqrt();
    assert!(error.abs().max().double_value(&[]) < bound);
    let again = family.log_prob(&params, &draws.z);
    assert!((again - draws.log_q).abs().max().double_value(&[]) < 1e-3);
}

/// `−L` on `noise`, `[S, D]`, by its definition and in `f64`.
fn loss(model: &dyn LatentVariableModel, x: &Tensor, params: &[f64], noise: &Tensor) -> f64 {
    let family = DiagonalGaussian::new(model.latent_dim());
    let params = VariationalParams(Tensor::from_slice(params).unsqueeze(0));
    let draws = family.transform(&params, &noise.unsqueeze(1));
    let log_joint = model.log_joint(x, &draws.z).unwrap().mean(Kind::Double);
    -(log_joint.double_value(&[]) + family.entropy(&params).double_value(&[0]))
}

#[test]
fn an_evaluation_is_the_loss_and_its_slopes_on_its_draws() {
    let model = decoder();
    let x = observations(&model, &[0, 1, 2]).to_kind(Kind::Double);
    let points = whitened_sobol_normals::<f32>(SeedKey::root(10), 64, 3);
    let noise = Tensor::from_slice(&points)
        .view([-1, 3])
        .to_kind(Kind::Double);
    let draws = NoiseDraws::from_common_normals(points, 3);
    let params = [
        [0.3, -0.4, 1.1, -0.2, 0.1, -0.7],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [-1.3, 0.8, 0.2, -1.2, 0.4, -0.1],
    ];
    for curvature in [false, true] {
        let request = EvaluationRequest {
            loss: true,
            curvature,
            ..EvaluationRequest::GRADIENT_ONLY
        };
        let mut objective = Objective::new(&model, &x).unwrap();
        let trials: Vec<&[f64]> = params.iter().map(<[f64; 6]>::as_slice).collect();
        let evaluations = objective
            .evaluate(&[0, 1, 2], &trials, &draws, request)
            .unwrap();
        for (b, evaluation) in evaluations.iter().enumerate() {
            let x = x.narrow(0, b as i64, 1);
            let value = loss(&model, &x, &params[b], &noise);
            let off = (evaluation.loss_nats() / value - 1.0).abs();
            assert!(off < 1e-7, "{off}");
            for q in 0..6 {
                let step = 1e-5;
                let at = |shift: f64| {
                    let mut moved = params[b];
                    moved[q] += shift;
                    loss(&model, &x, &moved, &noise)
                };
                let slope = (at(step) - at(-step)) / (2.0 * step);
                let own = if q < 3 {
                    evaluation.whitened_gradient().mean[q] / params[b][3 + q].exp()
                } else {
                    evaluation.whitened_gradient().log_std[q - 3]
                };
                // Draws and sums are `f32`, with errors of 6e-8 in terms of size 1.
                assert!(
                    (own - slope).abs() < 1e-6 * slope.abs().max(1.0),
                    "{own} for {slope}"
                );
            }
        }
    }
}

#[test]
fn the_curvature_on_a_linear_gaussian_is_the_precision_stretched() {
    for dim in [3, 20] {
        let model = LinearGaussian::random(dim, 2 * dim, 0.5, SeedKey::root(11), Device::Cpu);
        let x = observations(&model, &[0]);
        let (_, covariance) = model.posterior_moments(&x).unwrap();
        let precision = Tensor::linalg_inv(&covariance);
        let n = dim as usize;
        let points = whitened_sobol_normals::<f32>(SeedKey::root(12), n_draws_for_latent_dim(n), n);
        let draws = NoiseDraws::from_common_normals(points, n);
        let params: Vec<f64> = (0..2 * n).map(|i| 0.3 * (i as f64).sin()).collect();
        let request = EvaluationRequest {
            curvature: true,
            ..EvaluationRequest::GRADIENT_ONLY
        };
        let mut objective = Objective::new(&model, &x).unwrap();
        let evaluations = objective
            .evaluate(&[0], &[&params], &draws, request)
            .unwrap();
        let curvature = evaluations[0].whitened_gradient().curvature();
        let largest = precision.abs().max().double_value(&[]);
        for i in 0..n {
            for j in 0..n {
                let stretch = (params[n + i] + params[n + j]).exp();
                let exact = stretch * precision.double_value(&[i as i64, j as i64]);
                let off = (curvature[(i, j)] - exact).abs() / largest;
                assert!(off < 1e-4, "{i}, {j}: {} for {exact}", curvature[(i, j)]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The smallest `KL(q ‖ p)` that the family reports is not negative, and no member's divergence is below
    /// it.
    #[test]
    fn no_member_of_the_family_is_closer_than_its_closest(seed in 0..1000_u64) {
        let model = LinearGaussian::random(3, 6, 0.7, SeedKey::root(seed), Device::Cpu);
        let family = DiagonalGaussian::new(3);
        let x = normal(seed, 1, &[0], 6).squeeze_dim(0);
        let (mean, covariance) = model.posterior_moments(&x).unwrap();
        let params = VariationalParams(normal(seed + 1, 1, &[0], 6).squeeze_dim(0));
        let kl = family.kl_to_gaussian(&params, &mean, &covariance).double_value(&[0]);
        let least = family.min_kl_to_gaussian(&covariance);
        prop_assert!(least > -1e-9 && kl >= least - 1e-9, "{kl} below {least}");
    }
}
