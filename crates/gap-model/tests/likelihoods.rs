//! Every likelihood: its gradients, total probability, draws, support and learned parameters.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod models;

use gap_model::likelihood::{
    DiscretizedLogistic, LearnedGaussian, LearnedScale, rounding_error_std,
};
use gap_model::{Likelihood, ModelError};
use gap_torch::checkpoint::Checkpoint;
use gap_torch::{NoiseStream, SeedKey};
use models::{largest, learned_likelihoods, likelihoods};
use tch::{Device, Kind, Tensor};

const X: i64 = 9;

fn normal(key: u64, rows: u64, width: i64) -> Tensor {
    let ids: Vec<u64> = (0..rows).collect();
    let mut noise = NoiseStream::new(SeedKey::root(key), &ids, Device::Cpu);
    noise.normal(1, width).squeeze_dim(0).to_kind(Kind::Double)
}

/// Every likelihood in `f64`, with observations and outputs: `[N, X], [N, X]`. The observations are drawn near
/// the outputs.
fn cases() -> Vec<(&'static str, Likelihood, Tensor, Tensor)> {
    let cases = likelihoods(X).into_iter().map(|(name, likelihood)| {
        let output = normal(1, 40, X) * 0.5 + 0.5;
        let ids: Vec<u64> = (0..40).collect();
        let mut noise = NoiseStream::new(SeedKey::root(2), &ids, Device::Cpu);
        let x = likelihood.sample(&output, &mut noise).to_kind(Kind::Double);
        (name, likelihood.to_kind(Kind::Double), x, output + 0.1)
    });
    cases.collect()
}

#[test]
fn the_residual_is_the_slope_of_the_log_density() {
    let step = 1e-6;
    for (name, likelihood, x, output) in cases() {
        let residual = likelihood.output_gradient(&x, &output);
        for dimension in 0..X {
            let shift = Tensor::zeros_like(&output);
            let _ = shift.narrow(1, dimension, 1).fill_(step);
            let above = likelihood.log_prob(&x, &(&output + &shift));
            let slope = (above - likelihood.log_prob(&x, &(&output - &shift))) / (2.0 * step);
            let error = largest(&(slope - residual.select(1, dimension))) / largest(&residual);
            assert!(error < 1e-6, "{name}, dimension {dimension}: {error:e}");
        }
        let output = output.set_requires_grad(true);
        let total = likelihood.log_prob(&x, &output).sum(Kind::Double);
        let by_autograd = Tensor::run_backward(&[total], &[&output], false, false).remove(0);
        let error = largest(&(by_autograd - &residual)) / largest(&residual);
        assert!(error < 1e-12, "{name}: {error:e}");
    }
}

/// Compares the gradient of a weighted sum over rows, which includes the slope of the floor's softplus, with
/// finite differences. Each observed dimension has one learned parameter.
#[test]
fn the_gradient_in_what_is_learned_is_the_slope_in_it() {
    let (step, weight) = (1e-6, 0.25);
    for (name, mut likelihood, x, output) in cases() {
        let memory = Tensor::zeros(
            [likelihood.n_learned_parameters() as i64],
            (Kind::Double, Device::Cpu),
        );
        likelihood.move_parameters_into(&memory);
        let by_hand = memory.zeros_like();
        likelihood.pull_back_to_parameters(&x, &output, weight, &by_hand);
        for parameter in 0..memory.numel() as i64 {
            // The clone shares `memory`, which `at` changes.
            let shared = likelihood.clone();
            let at = |value: f64| {
                let _ = memory.narrow(0, parameter, 1).g_add_scalar_(value);
                let total = shared.log_prob(&x, &output).sum(Kind::Double) * weight;
                total.double_value(&[])
            };
            let slope = (at(step) - at(-2.0 * step)) / (2.0 * step);
            at(step);
            let error = (slope - by_hand.double_value(&[parameter])).abs() / largest(&by_hand);
            assert!(error < 1e-6, "{name}, parameter {parameter}: {error:e}");
        }
    }
    for (name, likelihood) in learned_likelihoods(X) {
        assert_eq!(likelihood.n_learned_parameters(), X as u64, "{name}");
    }
    assert_eq!(Likelihood::Bernoulli.n_learned_parameters(), 0);
}

#[test]
fn with_equal_scales_a_learned_gaussian_is_the_gaussian_of_that_scale() {
    let std = LearnedScale::new(X, 0.3, 1e-3, Device::Cpu);
    let scales = std.log_scale().exp();
    assert!(largest(&(&scales - 0.3)) < 1e-6, "{scales:?}");
    let learned = Likelihood::LearnedGaussian(LearnedGaussian { std }).to_kind(Kind::Double);
    let given = Likelihood::Gaussian {
        std: f64::from(scales.double_value(&[0]) as f32),
    };
    let (x, output) = (normal(3, 5, X), normal(4, 5, X));
    let values = [&learned, &given].map(|likelihood| likelihood.log_prob(&x, &output));
    assert!(largest(&(&values[0] - &values[1])) < 1e-5 * largest(&values[1]));
    let residuals = [learned, given].map(|likelihood| likelihood.output_gradient(&x, &output));
    assert!(largest(&(&residuals[0] - &residuals[1])) < 1e-5 * largest(&residuals[1]));
}

#[test]
fn a_learned_scale_stays_above_its_floor() {
    let raw = Tensor::from_slice(&[-50.0_f64, -3.0, 0.0, 2.0]);
    let scales = LearnedScale::from_raw(raw.shallow_clone(), 0.05)
        .log_scale()
        .exp();
    assert!(scales.min().double_value(&[]) >= 0.05 * (1.0 - 1e-12));
    // Far above the floor it has hardly any effect: softplus(y) − y = log(1 + e^−y).
    let apart = (scales.log() - raw).double_value(&[3]);
    assert!(
        apart > 0.0 && apart < 0.05 * (-2.0_f64).exp() + 1e-12,
        "{apart}"
    );
}

/// The scale's parameters lie in one array and follow their gradient uphill, as in joint training.
#[test]
fn a_scale_that_learns_finds_the_spread_of_the_residuals() {
    let std = LearnedScale::new(2, 1.0, 0.1, Device::Cpu);
    let mut likelihood = Likelihood::LearnedGaussian(LearnedGaussian { std });
    let spreads = Tensor::from_slice(&[0.5_f32, 0.01]); // The second is below the floor.
    let output = Tensor::zeros([500, 2], (Kind::Float, Device::Cpu));
    let x = normal(7, 500, 2).to_kind(Kind::Float) * spreads;
    let parameters = Tensor::zeros([2], (Kind::Float, Device::Cpu));
    likelihood.move_parameters_into(&parameters);
    let gradient = parameters.zeros_like();
    for _ in 0..2000 {
        likelihood.pull_back_to_parameters(&x, &output, 1.0 / 500.0, &gradient);
        let _ = parameters.shallow_clone().g_add_(&(&gradient * 0.05));
    }
    let found = likelihood.learned_scale().unwrap().log_scale().exp();
    // The maximum-likelihood standard deviation is the root of the mean square.
    let expected = x
        .square()
        .mean_dim([0_i64].as_slice(), false, Kind::Float)
        .sqrt();
    let apart = (&found / expected).log().double_value(&[0]);
    assert!(apart.abs() < 1e-3, "{found:?}");
    let at_floor = found.double_value(&[1]);
    assert!((0.1..0.11).contains(&at_floor), "{at_floor}");
}

fn logistic(n_levels: i64, scale: LearnedScale) -> Likelihood {
    Likelihood::DiscretizedLogistic(DiscretizedLogistic { n_levels, scale })
}

/// `log p` of each level for each row of `output`, which has one column: `[N, L]`.
fn of_levels(likelihood: &Likelihood, n_levels: i64, output: &Tensor) -> Tensor {
    let levels = (0..n_levels).map(|level| {
        let x = Tensor::full_like(output, level as f64 / (n_levels - 1) as f64);
        likelihood.log_prob(&x, output)
    });
    Tensor::stack(&levels.collect::<Vec<_>>(), 1)
}

/// The scales range from far below to far above the distance between two levels, and the outputs from below all
/// levels to above them.
#[test]
fn the_levels_of_a_discretized_logistic_share_a_mass_of_one() {
    let output = Tensor::linspace(-1.0, 2.0, 61, (Kind::Double, Device::Cpu)).unsqueeze(1);
    for n_levels in [2, 17, 256] {
        for scale in [1e-4, 0.01, 0.3, 20.0] {
            let learned = LearnedScale::new(1, scale, 1e-5, Device::Cpu);
            let likelihood = logistic(n_levels, learned).to_kind(Kind::Double);
            let log_probs = of_levels(&likelihood, n_levels, &output);
            assert!(largest(&log_probs).is_finite(), "{n_levels}, {scale}");
            let mass = log_probs
                .exp()
                .sum_dim_intlist([1_i64].as_slice(), false, Kind::Double);
            let error = largest(&(mass - 1.0));
            assert!(error < 1e-10, "{n_levels} levels, scale {scale}: {error:e}");
        }
    }
}

/// In `f32`, a level of almost no probability still has a finite log probability, and a gradient towards it.
#[test]
fn a_discretized_logistic_is_finite_far_from_its_output() {
    let likelihood = logistic(256, LearnedScale::new(3, 0.002, 0.001, Device::Cpu));
    let x = Tensor::from_slice(&[0.0_f32, 128.0 / 255.0, 1.0]).view([1, 3]);
    for output in [-5.0, 6.0] {
        let output = Tensor::full([1, 3], output, (Kind::Float, Device::Cpu));
        assert!(
            likelihood
                .log_prob(&x, &output)
                .double_value(&[0])
                .is_finite()
        );
        let residual = likelihood.output_gradient(&x, &output);
        let towards = (&x - &output) * residual;
        assert!(towards.double_value(&[0, 1]) > 1.0, "{towards:?}");
        assert!(towards.min().double_value(&[]) >= 0.0, "{towards:?}");
    }
}

#[test]
fn draws_have_the_frequencies_that_the_density_says() {
    let (n, n_levels) = (40_000_i64, 9);
    let ids: Vec<u64> = (0..n as u64).collect();
    let likelihood = logistic(n_levels, LearnedScale::new(1, 0.15, 0.01, Device::Cpu));
    let output = Tensor::full([n, 1], 0.7, (Kind::Float, Device::Cpu));
    let mut noise = NoiseStream::new(SeedKey::root(5), &ids, Device::Cpu);
    let x = likelihood.sample(&output, &mut noise);
    likelihood.check_support(&x).unwrap();
    let probs = of_levels(&likelihood, n_levels, &output.narrow(0, 0, 1)).exp();
    for level in 0..n_levels {
        let is_level = (&x * (n_levels - 1) as f64 - level as f64).abs().lt(0.5);
        let found = is_level
            .to_kind(Kind::Double)
            .mean(Kind::Double)
            .double_value(&[]);
        let p = probs.double_value(&[0, level]);
        let error = 4.0 * (p * (1.0 - p) / n as f64).sqrt();
        assert!((found - p).abs() < error, "level {level}: {found} for {p}");
    }

    let std = models::learned_scale(2);
    let expected = std.log_scale().exp();
    let likelihood = Likelihood::LearnedGaussian(LearnedGaussian { std });
    let output = Tensor::from_slice(&[1.0_f32, -2.0]).expand([n, 2], false);
    let mut noise = NoiseStream::new(SeedKey::root(6), &ids, Device::Cpu);
    let residual = likelihood.sample(&output, &mut noise) - output;
    let found = residual
        .square()
        .mean_dim([0_i64].as_slice(), false, Kind::Double);
    // The mean square of n normals has a relative error of √(2/n).
    let error = largest(&(found / expected.square() - 1.0));
    assert!(error < 4.0 * (2.0 / n as f64).sqrt(), "{error}");
}

#[test]
fn what_is_not_a_level_is_refused() {
    let likelihood = logistic(17, LearnedScale::new(2, 0.1, 0.01, Device::Cpu));
    let sixteenths = |values: [f64; 4]| Tensor::from_slice(&values).view([2, 2]) / 16.0;
    assert!(
        likelihood
            .check_support(&sixteenths([0.0, 16.0, 7.0, 3.0]))
            .is_ok()
    );
    for outside in [0.5, -1.0, 17.0, f64::NAN] {
        let x = sixteenths([0.0, 16.0, 7.0, outside]);
        let error = likelihood.check_support(&x).unwrap_err();
        assert!(
            matches!(error, ModelError::OffSupport { row: 1, .. }),
            "{outside}"
        );
        assert!(error.to_string().contains("levels"), "{error}");
    }
    // All 8-bit grey values, rounded to f32.
    let grey = Tensor::arange(256, (Kind::Float, Device::Cpu)).view([128, 2]) / 255.0;
    let likelihood = logistic(256, LearnedScale::new(2, 0.1, 0.01, Device::Cpu));
    assert!(likelihood.check_support(&grey).is_ok());
}

#[test]
fn what_was_learned_is_stored_and_restored() {
    for (name, learned) in learned_likelihoods(X) {
        let new = logistic(17, LearnedScale::new(X, 1.0, 0.05, Device::Cpu));
        let mut checkpoint = Checkpoint::new();
        learned.store(&mut checkpoint, "decoder");
        let restored = new
            .clone()
            .restored(&checkpoint, "decoder", Device::Cpu)
            .unwrap();
        let scales =
            [&learned, &restored].map(|likelihood| likelihood.learned_scale().unwrap().log_scale());
        assert!(scales[0].equal(&scales[1]), "{name}");
        let narrow = logistic(17, LearnedScale::new(X - 1, 1.0, 0.05, Device::Cpu));
        assert!(
            narrow
                .restored(&checkpoint, "decoder", Device::Cpu)
                .is_err()
        );
        assert!(new.restored(&checkpoint, "another", Device::Cpu).is_err());
    }
    let mut checkpoint = Checkpoint::new();
    Likelihood::Bernoulli.store(&mut checkpoint, "decoder");
    assert_eq!(checkpoint.digest(), Checkpoint::new().digest());
    assert!(rounding_error_std(2) > rounding_error_std(256));
}
