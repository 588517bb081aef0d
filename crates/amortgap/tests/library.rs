//! The library: its example runs, its gaps are those of closed forms, and what does not fit is one clear error.
#![cfg(feature = "compute")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "../examples/own_model.rs"]
mod own_model;

use amortgap::tch::{Device, Kind, Tensor};
use amortgap::{Encode, MeasureSettings, ModelError, VariationalParams, measure};
use gap_infer::{ClosedFormGaussianFamily, DiagonalGaussian};
use gap_model::{ExactPosterior, LatentVariableModel, LinearGaussian};
use gap_torch::{NoiseStream, SeedKey, to_f64_values};

#[test]
fn the_example_of_a_model_of_ones_own_runs() {
    own_model::main().unwrap();
}

/// `q` with the posterior's mean, and this `log σ` in every dimension; of this many parameters.
struct PosteriorMeans<'a> {
    model: &'a LinearGaussian,
    log_std: f64,
    n_params: i64,
}

impl Encode for PosteriorMeans<'_> {
    fn encode(&self, x: &Tensor) -> Result<VariationalParams, ModelError> {
        let (mean, _) = self.model.posterior_moments(x)?;
        let mean = mean.to_kind(Kind::Float);
        let log_std = Tensor::full_like(&mean, self.log_std);
        let params = Tensor::cat(&[mean, log_std], 1);
        Ok(VariationalParams(params.narrow(1, 0, self.n_params)))
    }
    fn param_dim(&self) -> i64 {
        self.n_params
    }
}

fn problem() -> (LinearGaussian, Tensor) {
    let model = LinearGaussian::random(3, 8, 0.5, SeedKey::root(1), Device::Cpu);
    let ids: Vec<u64> = (0..40).collect();
    let mut noise = NoiseStream::new(SeedKey::root(2), &ids, Device::Cpu);
    let (x, _) = model.sample_joint(&mut noise).unwrap();
    (model, x)
}

#[test]
fn the_gaps_are_those_of_the_closed_forms() {
    let (model, x) = problem();
    let encoder = PosteriorMeans {
        model: &model,
        log_std: -1.0,
        n_params: 6,
    };
    let gaps = measure(&model, Some(&encoder), &x, &MeasureSettings::default()).unwrap();
    let family = DiagonalGaussian::new(3);
    let (mean, covariance) = model.posterior_moments(&x).unwrap();
    let to_posterior = family.kl_to_gaussian(&encoder.encode(&x).unwrap(), &mean, &covariance);
    let least = family.min_kl_to_gaussian(&covariance);
    let exact = to_f64_values(&to_posterior)[0] - least;
    let gap = gaps.amortization_gap().unwrap();
    assert_eq!(gaps.cell.n, 40);
    assert_eq!(gaps.cell.unconverged, 0);
    let error = gap.mc_std_error_nats.mul_add(4.0, 0.001);
    assert!((gap.mean_nats - exact).abs() < error, "{gap:?} for {exact}");
    let family_gap = gaps.approximation_gap();
    assert!(
        (family_gap.mean_nats - least).abs() < 0.01,
        "{family_gap:?} for {least}"
    );
    let without = measure(&model, None, &x, &MeasureSettings::default()).unwrap();
    assert!(without.amortization_gap().is_none());
}

#[test]
fn an_encoder_of_another_family_is_one_error() {
    let (model, x) = problem();
    let encoder = PosteriorMeans {
        model: &model,
        log_std: -1.0,
        n_params: 5,
    };
    let error = measure(&model, Some(&encoder), &x, &MeasureSettings::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the encoder's output is [40, 5] of Float, and the family needs [40, 6] of Float"
    );
    let none = x.narrow(0, 0, 0);
    let error = measure(&model, None, &none, &MeasureSettings::default()).unwrap_err();
    assert_eq!(error.to_string(), "there are no observations");
}
