//! Annealed estimates against the exact evidence of the linear-Gaussian model: on the right side of it, near
//! it, and independent of the batch.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod oracle_problem;

use gap_data::Batch;
use gap_estimate::{Annealing, Estimate, HmcSettings, InitialGaussian};
use gap_infer::free_form::{SearchMode, StartingPoint};
use gap_infer::{DiagonalGaussian, FreeFormInference, FullGaussian, Inference};
use gap_model::{ExactPosterior, LatentVariableModel, LinearGaussian, ModelError};
use gap_spec::Precision;
use gap_spec::Trust;
use gap_torch::{NoiseStream, SeedKey};
use oracle_problem::{drawn, exact_evidence, optimum, oracle};
use tch::{Device, Kind, Tensor};

fn annealing(n_temperatures: u32, n_chains: usize) -> Annealing {
    let last = f64::from(n_temperatures - 1);
    Annealing {
        inverse_temperatures: (0..n_temperatures).map(|t| f64::from(t) / last).collect(),
        n_chains,
        transitions: HmcSettings {
            leapfrog_steps: 10,
            precision: Precision::Mixed,
        },
        step_size: None,
    }
}

fn forward(
    annealing: &Annealing,
    model: &dyn LatentVariableModel,
    initial: &InitialGaussian,
    batch: &Batch,
    seed: u64,
) -> Vec<Estimate> {
    let key = SeedKey::root(seed);
    annealing
        .forward(model, initial, batch, key, &|_| ())
        .unwrap()
}

fn optimal_anchor(model: &LinearGaussian, batch: &Batch) -> InitialGaussian {
    let family = DiagonalGaussian::new(model.latent_dim());
    InitialGaussian::matching_moments_of(&family, &optimum(model, batch))
}

#[test]
fn from_the_optimum_a_long_path_is_within_a_twentieth_of_a_nat_at_50_dimensions() {
    let model = oracle(50, 1.0);
    let (batch, _) = drawn(&model, 20);
    let initial = optimal_anchor(&model, &batch);
    let estimates = forward(&annealing(1000, 16), &model, &initial, &batch, 1);
    let exact = exact_evidence(&model, &batch);
    let errors: Vec<f64> = estimates
        .iter()
        .zip(exact)
        .map(|(e, exact)| e.value_nats - exact)
        .collect();
    let mean = errors.iter().sum::<f64>() / 20.0;
    let square = errors.iter().map(|e| e * e).sum::<f64>() / 20.0;
    println!(
        "mean error {mean:.4}, root mean square {:.4}",
        square.sqrt()
    );
    assert!(mean.abs() < 0.05 && square.sqrt() < 0.05, "{errors:?}");
    // Each of 16 chains takes 998 transitions of 10 gradients and a value; 4 chains take 48 for the step
    // size.
    let diagnostics = estimates[0].diagnostics;
    assert_eq!(
        diagnostics.joint_evaluations,
        16 * (2 + 998 * 11) + 4 * (2 + 48 * 11)
    );
    assert!(
        estimates
            .iter()
            .all(|e| e.trust == Trust::Ok && e.n_samples == 16)
    );
}

/// How many standard errors a bound is moved outwards, for one-sided confidence of 99% with 15 degrees of
/// freedom.
const WIDENED: f64 = 2.6;

#[test]
fn forwards_and_backwards_hold_the_exact_value_between_them() {
    for (latent_dim, most_width) in [(2, 0.01), (10, 0.05), (50, 0.2)] {
        let model = oracle(latent_dim, 0.7);
        let (batch, z) = drawn(&model, 60);
        let exact = exact_evidence(&model, &batch);
        let initial = optimal_anchor(&model, &batch);
        let annealing = annealing(100, 16);
        let below = forward(&annealing, &model, &initial, &batch, 2);
        let key = SeedKey::root(3);
        let above = annealing
            .reverse(&model, &initial, (&batch, &z), key, &|_| ())
            .unwrap();
        let contains = |i: &usize| {
            below[*i].value_nats - WIDENED * below[*i].std_error_nats <= exact[*i]
                && exact[*i] <= above[*i].value_nats + WIDENED * above[*i].std_error_nats
        };
        let n = (0..60).filter(contains).count();
        let width = (0..60)
            .map(|i| above[i].value_nats - below[i].value_nats)
            .sum::<f64>()
            / 60.0;
        println!("D = {latent_dim}: {n} of 60 hold it, mean width {width:.4}");
        assert!(n >= 57, "D = {latent_dim}: {n} of 60");
        assert!(
            (-0.001..most_width).contains(&width),
            "D = {latent_dim}: {width}"
        );
    }
}

/// A model with only the required methods, so that it is evaluated in tensors.
struct Plain(LinearGaussian);

impl LatentVariableModel for Plain {
    fn latent_dim(&self) -> i64 {
        self.0.latent_dim()
    }
    fn observed_dim(&self) -> i64 {
        self.0.observed_dim()
    }
    fn device(&self) -> Device {
        Device::Cpu
    }
    fn kind(&self) -> Kind {
        Kind::Float
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

#[test]
fn means_of_weights_are_the_evidence_from_any_start_and_on_any_path() {
    let model = oracle(3, 0.7);
    let (batch, _) = drawn(&model, 10);
    let exact = exact_evidence(&model, &batch);
    let starts = [
        optimal_anchor(&model, &batch),
        InitialGaussian::standard_normal_prior(10, 3),
    ];
    let plain = Plain(oracle(3, 0.7));
    for initial in &starts {
        for model in [&model as &dyn LatentVariableModel, &plain] {
            let estimates = forward(&annealing(60, 32), model, initial, &batch, 4);
            // Errors are in units of their standard errors; the mean of ten has a standard deviation of about
            // a third.
            let scores = estimates.iter().zip(&exact);
            let scores = scores.map(|(e, exact)| (e.value_nats - exact) / e.std_error_nats);
            let mean = scores.sum::<f64>() / 10.0;
            assert!(mean.abs() < 4.0 / 10_f64.sqrt(), "{mean}");
        }
    }
}

#[test]
fn a_datapoint_has_the_same_estimate_alone_and_in_a_batch() {
    let model = oracle(6, 0.5);
    let (all, z) = drawn(&model, 33);
    let (annealing, key) = (annealing(20, 4), SeedKey::root(5));
    let initial = optimal_anchor(&model, &all);
    let together = forward(&annealing, &model, &initial, &all, 5);
    let back_together = annealing
        .reverse(&model, &initial, (&all, &z), key, &|_| ())
        .unwrap();
    for b in [0_usize, 17, 32] {
        let x = all.x().narrow(0, b as i64, 1).copy();
        let one = Batch::new(vec![all.ids()[b]], x);
        let initial = optimal_anchor(&model, &one);
        let alone = forward(&annealing, &model, &initial, &one, 5);
        let own = (&one, &z[6 * b..6 * (b + 1)]);
        let back_alone = annealing
            .reverse(&model, &initial, own, key, &|_| ())
            .unwrap();
        for (alone, together) in [
            (&alone[0], &together[b]),
            (&back_alone[0], &back_together[b]),
        ] {
            assert_eq!(alone.value_nats.to_bits(), together.value_nats.to_bits());
            assert_eq!(alone.diagnostics.step_size, together.diagnostics.step_size);
            assert_eq!(
                alone.diagnostics.acceptance,
                together.diagnostics.acceptance
            );
        }
    }
}

#[test]
fn steps_that_are_too_long_are_refused_and_said_to_be() {
    let model = oracle(6, 0.5);
    let (batch, _) = drawn(&model, 5);
    let initial = optimal_anchor(&model, &batch);
    let far = Annealing {
        step_size: Some(4.0),
        ..annealing(20, 4)
    };
    for estimate in forward(&far, &model, &initial, &batch, 6) {
        assert!(
            matches!(estimate.trust, Trust::LowAcceptance),
            "{estimate:?}"
        );
        assert_eq!(estimate.diagnostics.step_size, Some(4.0));
    }
}

#[test]
fn a_datapoint_that_is_not_finite_is_reported_and_does_not_spread() {
    let model = oracle(3, 0.5);
    let (clean, _) = drawn(&model, 4);
    let initial = optimal_anchor(&model, &clean);
    let x = clean.x().copy();
    let _ = x.narrow(0, 2, 1).fill_(f64::NAN);
    let spoiled = Batch::new(clean.ids().to_vec(), x);
    let expected = forward(&annealing(20, 4), &model, &initial, &clean, 7);
    let estimates = forward(&annealing(20, 4), &model, &initial, &spoiled, 7);
    assert_eq!(estimates[2].trust, Trust::NonFinite);
    for b in [0, 1, 3] {
        assert_eq!(
            estimates[b].value_nats.to_bits(),
            expected[b].value_nats.to_bits()
        );
    }
}

#[test]
fn a_path_from_a_q_with_correlations_begins_at_its_moments() {
    let model = oracle(6, 0.5);
    let (batch, _) = drawn(&model, 5);
    let family = FullGaussian::new(6);
    let search = FreeFormInference {
        family: &family,
        starts: vec![StartingPoint::Prior],
        search: SearchMode::UntilCertified,
        tolerance_nats: 0.005,
        max_steps: 5000,
        precision: Precision::Full,
    };
    let fitted = search.infer(&model, &batch, SeedKey::root(8)).unwrap();
    let initial = InitialGaussian::matching_moments_of(&family, &fitted.params);
    let (mean, _) = model.posterior_moments(batch.x()).unwrap();
    let mean = Vec::<f64>::try_from(mean.contiguous().view([-1])).unwrap();
    let coordinates = initial.coordinates::<f32>();
    let (mut z, mut w) = (vec![0.0_f32; 6], vec![0.0_f32; 6]);
    for point in 0..5 {
        coordinates.unwhiten(point, &[0.0; 6], &mut z);
        for (z, mean) in z.iter().zip(&mean[point * 6..]) {
            assert!((f64::from(*z) - mean).abs() < 0.02, "{z} {mean}");
        }
        let there = [0.3, -1.2, 0.8, 2.0, -0.1, 0.5];
        coordinates.unwhiten(point, &there, &mut z);
        coordinates.whiten(point, &z, &mut w);
        for (w, there) in w.iter().zip(there) {
            assert!((w - there).abs() < 1e-4, "{w} {there}");
        }
    }
    // The posterior is a Gaussian, so a path from its moments begins there already: few temperatures are
    // enough.
    let exact = exact_evidence(&model, &batch);
    for (estimate, exact) in forward(&annealing(10, 16), &model, &initial, &batch, 9)
        .iter()
        .zip(exact)
    {
        let error = estimate.value_nats - exact;
        assert!(error.abs() < 0.02, "{error}");
    }
}
