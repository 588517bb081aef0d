//! Checks the nonlinear hierarchical model against quadrature.

use gap_model::{LatentVariableModel, NonlinearHierarchical};
use gap_torch::{NoiseStream, SeedKey};
use tch::{Device, Kind, Tensor};

const OFFSET: f64 = 0.5;

fn model() -> NonlinearHierarchical {
    NonlinearHierarchical::new(OFFSET, Device::Cpu).to_kind(Kind::Double)
}

/// Equally spaced points, and the distance between two.
fn grid(from: f64, to: f64, n: i64) -> (Tensor, f64) {
    let points = Tensor::linspace(from, to, n, (Kind::Double, Device::Cpu));
    (points, (to - from) / (n - 1) as f64)
}

/// `E[x | z]` and `Var[x | z]`, computed independently of the model.
fn conditional_moments(z: f64) -> (f64, f64) {
    (OFFSET + z * (1.0 + z.sin()), (2.0 * z.cos()).exp())
}

/// `∫ p(x, z) dx = N(z; 0, 1)` at every `z`, which fails without the normaliser that depends on `z`.
#[test]
fn the_joint_has_the_prior_for_its_marginal() {
    let (x, step) = grid(-40.0, 40.0, 20_001);
    for z in [-2.5, -0.8, 0.0, 0.4, 3.0] {
        let z_rows = Tensor::full([1, x.numel() as i64, 1], z, (Kind::Double, Device::Cpu));
        let joint = model().log_joint(&x.unsqueeze(1), &z_rows).unwrap();
        let mass = (joint.exp().sum(Kind::Double) * step).double_value(&[]);
        let prior = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
        assert!((mass / prior - 1.0).abs() < 1e-8, "{z}: {mass} for {prior}");
    }
}

#[test]
fn draws_have_the_moments_of_the_model() {
    let n = 40_000_u64;
    let ids: Vec<u64> = (0..n).collect();
    let mut noise = NoiseStream::new(SeedKey::root(1), &ids, Device::Cpu);
    let (x, z) = model().sample_joint(&mut noise).unwrap();
    model().check_support(&x).unwrap();
    let (points, step) = grid(-9.0, 9.0, 4_001);
    let points = Vec::<f64>::try_from(points).unwrap();
    // E[x], E[x²], E[x⁴] and E[x z], where x is a mixture of Gaussians over z.
    let mut expected = [0.0; 4];
    for z in points {
        let weight = step * (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
        let (mean, variance) = conditional_moments(z);
        let square = mean.powi(2) + variance;
        let fourth = mean.powi(4) + 6.0 * mean.powi(2) * variance + 3.0 * variance.powi(2);
        for (sum, moment) in expected.iter_mut().zip([mean, square, fourth, mean * z]) {
            *sum += weight * moment;
        }
    }
    let [mean, square, fourth, product] = expected;
    let found = |values: Tensor| values.mean(Kind::Double).double_value(&[]);
    let standard_error = |variance: f64| (variance / n as f64).sqrt();
    let error = (found(x.shallow_clone()) - mean).abs();
    assert!(
        error < 4.0 * standard_error(square - mean.powi(2)),
        "mean: {error}"
    );
    let error = (found(x.square()) - square).abs();
    assert!(
        error < 4.0 * standard_error(fourth - square.powi(2)),
        "square: {error}"
    );
    let products = x * z;
    let variance = products.var(true).double_value(&[]);
    let error = (found(products) - product).abs();
    assert!(error < 4.0 * standard_error(variance), "product: {error}");
}

/// Over a range of `x` the posterior mean is far from a straight line, so an encoder needs hidden units.
#[test]
fn the_posterior_mean_is_not_linear_in_the_observation() {
    let (z, _) = grid(-8.0, 8.0, 4_001);
    let posterior_mean = |x: f64| {
        let x = Tensor::full([z.numel() as i64, 1], x, (Kind::Double, Device::Cpu));
        let joint = model()
            .log_joint(&x, &z.view([1, -1, 1]))
            .unwrap()
            .squeeze_dim(0);
        let weights = joint.softmax(0, Kind::Double);
        (weights * &z).sum(Kind::Double).double_value(&[])
    };
    let (low, middle, high) = (
        posterior_mean(-2.0),
        posterior_mean(1.0),
        posterior_mean(4.0),
    );
    let bend = (low + high - 2.0 * middle).abs() / (high - low).abs();
    assert!(bend > 0.2, "{low}, {middle}, {high}");
}
