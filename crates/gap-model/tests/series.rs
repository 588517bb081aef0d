//! A series and its context: the order of its points, their distribution, and what the posterior depends on.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod models;

use gap_model::mlp::Activation;
use gap_model::{
    ExactPosterior, LatentVariableModel, LinearGaussian, Network, NonlinearHierarchical,
    SeriesCoefficients, TimeSeries,
};
use gap_torch::checkpoint::Checkpoint;
use gap_torch::{NoiseStream, SeedKey};
use models::{DIRECT_SERIES, f32_models, largest};
use std::f64::consts::TAU;
use tch::{Device, Kind, Tensor};

const BOTH: [SeriesCoefficients; 2] = [SeriesCoefficients::SAW_NOTEBOOK, DIRECT_SERIES];

fn series(coefficients: SeriesCoefficients) -> TimeSeries {
    TimeSeries::new(coefficients, Device::Cpu).to_kind(Kind::Double)
}

fn column(matrix: &Tensor, column: i64) -> Vec<f64> {
    Vec::<f64>::try_from(matrix.select(1, column).contiguous()).unwrap()
}

#[test]
fn the_context_of_a_point_is_the_point_before_it() {
    for coefficients in BOTH {
        let model = series(coefficients);
        let (x, z) = model.sample_points(SeedKey::root(1), 0..50).unwrap();
        assert_eq!((x.size(), z.size()), (vec![50, 2], vec![50, 1]));
        let (next, before) = (column(&x, 0), column(&x, 1));
        assert_eq!(next[..49], before[1..]);
        // A range of ids gives that part of the same series, and another key gives another series.
        let (part, latent) = model.sample_points(SeedKey::root(1), 20..30).unwrap();
        assert!(part.equal(&x.narrow(0, 20, 10)) && latent.equal(&z.narrow(0, 20, 10)));
        let (another, _) = model.sample_points(SeedKey::root(2), 0..50).unwrap();
        assert!(!another.equal(&x));
        assert_eq!(model.n_context_columns(), 1);
    }
}

/// A model without an order draws each point from the noise stream of its id.
#[test]
fn points_without_an_order_are_those_of_their_streams() {
    for (name, model) in f32_models() {
        if model.n_context_columns() > 0 {
            continue;
        }
        let key = SeedKey::root(3);
        let (x, z) = model.sample_points(key, 5..9).unwrap();
        let mut noise = NoiseStream::new(key, &[5, 6, 7, 8], Device::Cpu);
        let expected = model.sample_joint(&mut noise).unwrap();
        assert!(x.equal(&expected.0) && z.equal(&expected.1), "{name}");
    }
}

/// Checks the points of one long series, and points that were drawn independently, each with its own
/// predecessor.
#[test]
fn draws_follow_the_law_of_the_series() {
    for coefficients in BOTH {
        let model = series(coefficients);
        let n = 40_000_u64;
        let ids: Vec<u64> = (0..n).collect();
        let mut noise = NoiseStream::new(SeedKey::root(4), &ids, Device::Cpu);
        let apart = model.sample_joint(&mut noise).unwrap();
        let in_order = model.sample_points(SeedKey::root(4), 0..n).unwrap();
        for (x, z) in [apart, in_order] {
            model.check_support(&x).unwrap();
            // On average, log p(x | context) is minus the entropy of x given the context; its variance is 1/2.
            let variance = coefficients.loading.powi(2) + coefficients.noise_std.powi(2);
            let expected = -0.5 * (1.0 + (TAU * variance).ln());
            let evidence = model.log_evidence(&x).unwrap();
            let error = evidence.mean(Kind::Double).double_value(&[]) - expected;
            assert!(error.abs() < 4.0 * (0.5 / n as f64).sqrt(), "{error}");
            // The same holds for log p(x, z | context), with a variance of 1 for its two dimensions.
            let joint = model.log_joint(&x, &z.unsqueeze(0)).unwrap();
            let expected = -(1.0 + TAU.ln()) - coefficients.noise_std.ln();
            let error = joint.mean(Kind::Double).double_value(&[]) - expected;
            assert!(error.abs() < 4.0 * (1.0 / n as f64).sqrt(), "{error}");
            // Both columns have the stationary mean and variance. Neighbours are correlated by ±0.8 at most,
            // which makes a standard error up to 3 times as large. The tolerance allows for 4 such standard
            // errors of the difference of two columns.
            let [next, before] = [0, 1].map(|c| x.select(1, c));
            let scale = next.std(true).double_value(&[]);
            let apart = (&next - &before).mean(Kind::Double).double_value(&[]);
            assert!(apart.abs() < 20.0 * scale / (n as f64).sqrt(), "{apart}");
            let ratio = (next.var(true) / before.var(true)).double_value(&[]);
            assert!((ratio - 1.0).abs() < 20.0 / (n as f64).sqrt(), "{ratio}");
        }
    }
}

/// Given `x_0`, the `x_1, …, x_n` are jointly Gaussian with `cov(x_i, x_j) = v Σ_{k ≤ min(i, j)} φ^(i+j−2k)`,
/// where `φ = a + b c` and `v = b² + s²`.
#[test]
fn the_evidence_of_a_series_is_the_sum_over_its_points() {
    for coefficients in BOTH {
        let model = series(coefficients);
        let n = 6;
        let (x, _) = model.sample_points(SeedKey::root(5), 0..n).unwrap();
        let sum = model.log_evidence(&x).unwrap().sum(Kind::Double);
        let persistence = coefficients.into_next + coefficients.loading * coefficients.into_latent;
        let variance = coefficients.loading.powi(2) + coefficients.noise_std.powi(2);
        let n = n as i32;
        let covariance: Vec<f64> = (1..=n)
            .flat_map(|i| {
                (1..=n).map(move |j| {
                    let terms = (1..=i.min(j)).map(|k| persistence.powi(i + j - 2 * k));
                    variance * terms.sum::<f64>()
                })
            })
            .collect();
        let covariance = Tensor::from_slice(&covariance).view([i64::from(n), i64::from(n)]);
        let mut mean = x.double_value(&[0, 1]);
        let means: Vec<f64> = (0..n)
            .map(|_| {
                mean = coefficients.offset + persistence * mean;
                mean
            })
            .collect();
        let centred = x.select(1, 0) - Tensor::from_slice(&means);
        let quadratic = centred.dot(&Tensor::linalg_inv(&covariance).mv(&centred));
        let log_det = covariance.slogdet().1;
        let expected = (quadratic + log_det + f64::from(n) * TAU.ln()) * -0.5;
        let error = largest(&(sum - expected));
        // The model's coefficients were rounded to f32.
        assert!(error < 1e-5, "{error:e}");
    }
}

/// Where `x_{n−1}` grows by 1 and `x_n` stays, the posterior mean moves by `c − b (a + b c) / (b² + s²)`.
#[test]
fn the_posterior_moves_with_the_context() {
    for (coefficients, expected) in [
        (SeriesCoefficients::SAW_NOTEBOOK, 1.0 / 1.5625),
        (DIRECT_SERIES, 0.48 / 0.45),
    ] {
        let x = Tensor::from_slice(&[2.0, 1.0, 2.0, 2.0]).view([2, 2]);
        let (mean, _) = series(coefficients).posterior_moments(&x).unwrap();
        let moved = mean.double_value(&[1, 0]) - mean.double_value(&[0, 0]);
        assert!((moved - expected).abs() < 1e-6, "{moved} for {expected}");
    }
}

#[test]
fn models_are_stored_and_restored() {
    let (device, key) = (Device::Cpu, SeedKey::root(6));
    let stored = TimeSeries::new(DIRECT_SERIES, device);
    let mut checkpoint = Checkpoint::new();
    assert!(TimeSeries::restore(&checkpoint, device).is_err());
    stored.store(&mut checkpoint);
    let restored = TimeSeries::restore(&checkpoint, device).unwrap();
    let drawn = [&stored, &restored].map(|model| model.sample_points(key, 0..9).unwrap());
    assert!(drawn[0].0.equal(&drawn[1].0));
    let z = Tensor::zeros([1, 9, 1], (Kind::Float, device));
    let scores = [&stored, &restored].map(|model| model.score(&drawn[0].0, &z).unwrap());
    assert!(scores[0].equal(&scores[1]));

    let stored = NonlinearHierarchical::new(0.7, device);
    assert!(NonlinearHierarchical::restore(&checkpoint, device).is_err());
    stored.store(&mut checkpoint);
    let restored = NonlinearHierarchical::restore(&checkpoint, device).unwrap();
    let drawn = [&stored, &restored].map(|model| model.sample_points(key, 0..9).unwrap());
    assert!(drawn[0].0.equal(&drawn[1].0));
}

/// A stage that computed with such weights would say that its own fit diverged.
#[test]
fn weights_that_are_not_finite_are_refused_by_name() {
    let (device, key) = (Device::Cpu, SeedKey::root(7));
    let network = || Network::random_perceptron(&[2, 3, 4], Activation::Tanh, key, device);
    let mut whole = Checkpoint::new();
    network().store(&mut whole, "decoder");
    TimeSeries::new(DIRECT_SERIES, device).store(&mut whole);
    NonlinearHierarchical::new(0.7, device).store(&mut whole);
    LinearGaussian::random(2, 3, 1.0, key, device).store(&mut whole);
    let restored = |checkpoint: &Checkpoint, name: &str| match name.split('.').next().unwrap() {
        "decoder" => network().restored(checkpoint, "decoder", device).map(drop),
        "time_series" => TimeSeries::restore(checkpoint, device).map(drop),
        "linear_gaussian" => LinearGaussian::restore(checkpoint, device).map(drop),
        _ => NonlinearHierarchical::restore(checkpoint, device).map(drop),
    };
    for (name, value) in [
        ("decoder.0.weight", f64::NAN),
        ("decoder.1.bias", f64::INFINITY),
        ("time_series.coefficients", f64::NAN),
        ("nonlinear_hierarchical.offset", f64::NEG_INFINITY),
        ("linear_gaussian.weight", f64::NAN),
        ("linear_gaussian.noise_std", f64::NAN),
    ] {
        restored(&whole, name).unwrap();
        let tensor = whole.get(name, device).unwrap();
        let mut damaged = Checkpoint::new();
        network().store(&mut damaged, "decoder");
        LinearGaussian::random(2, 3, 1.0, key, device).store(&mut damaged);
        damaged.insert(name, &tensor.full_like(value));
        let error = restored(&damaged, name).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("tensor `{name}` of stored weights holds a number that is not finite")
        );
    }
}

#[test]
#[should_panic(expected = "a series forgets")]
fn a_series_without_a_stationary_distribution_is_refused() {
    let coefficients = SeriesCoefficients {
        into_next: 0.25,
        ..SeriesCoefficients::SAW_NOTEBOOK
    };
    TimeSeries::new(coefficients, Device::Cpu);
}
