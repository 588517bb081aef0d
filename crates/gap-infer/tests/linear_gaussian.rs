//! Ascents on the linear-Gaussian model, whose optimum is known in closed form.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod searches;

use gap_infer::StopReason;
use gap_infer::ascent::n_draws_for_latent_dim;
use gap_infer::free_form::StartingPoint;
use gap_model::{LatentVariableModel, LinearGaussian};
use gap_spec::{NoiseSource, Phase, StepRule, StoppingRule};
use gap_torch::SeedKey;
use gap_torch::device::set_one_thread_per_operation;
use searches::{
    CPU, encoder, most, params_of, phases, prior_like, run_all, sampled, search, short_of_optimum,
};

/// The tolerance of a spec that sets none.
const DEFAULT_TOLERANCE_NATS: f64 = 0.01;

/// Well and badly conditioned models.
fn oracles() -> impl Iterator<Item = LinearGaussian> {
    [
        (2, 1.0),
        (10, 1.0),
        (50, 1.0),
        (2, 0.05),
        (10, 0.05),
        (50, 0.05),
    ]
    .into_iter()
    .map(|(dim, noise_std)| LinearGaussian::random(dim, 2 * dim, noise_std, SeedKey::root(6), CPU))
}

#[test]
fn the_default_search_ends_at_the_closed_form_optimum() {
    set_one_thread_per_operation(); // Tests already run in parallel.
    for model in oracles() {
        let batch = sampled(&model, 20);
        // The encoder has not been fitted, so many datapoints start hundreds of nats from their optimum.
        let encoder = encoder(&model);
        let (prior, encoded) = (StartingPoint::Prior, StartingPoint::Encoder(&encoder));
        for starts in [vec![prior], vec![encoded], vec![prior, encoded]] {
            let fit = search(&model, &batch, starts, DEFAULT_TOLERANCE_NATS);
            let short = short_of_optimum(&model, &batch, &fit.fitted.params);
            println!("D = {}: {:.2e} nats", model.latent_dim(), most(&short));
            for (stop, short) in fit.fitted.stops.iter().zip(&short) {
                let converged = matches!(stop, StopReason::Converged { .. });
                assert!(converged, "{stop:?}, {short} short");
            }
            assert!(most(&short) < 1e-4, "{short:?}");
        }
    }
}

/// Whitened draws integrate a linear score without error. Newton's steps then end at the exact optimum, up to
/// the accuracy of `f32`.
#[test]
fn newton_stein_is_exact_where_the_score_is_linear() {
    for model in oracles() {
        let dim = model.latent_dim();
        let batch = sampled(&model, 20);
        let phase = Phase {
            noise: NoiseSource::Fixed,
            n_samples: n_draws_for_latent_dim(dim as usize) as u32,
            stopping: StoppingRule::Decrement,
            below_nats: 1e-6,
            ..Phase::new(StepRule::NewtonStein, 60)
        };
        let ends = run_all(&model, &batch, &phase, prior_like(20, dim));
        let short = most(&short_of_optimum(&model, &batch, &params_of(&ends)));
        assert!(short < 1e-5, "D = {dim}: {short}");
    }
}

#[test]
fn each_step_rule_alone_reaches_the_optimum() {
    let model = LinearGaussian::random(4, 10, 0.7, SeedKey::root(7), CPU);
    let batch = sampled(&model, 20);
    for phase in phases(4) {
        let ends = run_all(&model, &batch, &phase, prior_like(20, 4));
        let short = most(&short_of_optimum(&model, &batch, &params_of(&ends)));
        assert!(short < 0.01, "{:?}: {short}", phase.rule);
        assert!(ends.iter().all(|end| end.failed_at.is_none()));
    }
}

#[test]
fn two_starts_that_meet_are_not_apart() {
    let model = LinearGaussian::random(6, 12, 0.5, SeedKey::root(9), CPU);
    let batch = sampled(&model, 20);
    let encoder = encoder(&model);
    let starts = vec![StartingPoint::Prior, StartingPoint::Encoder(&encoder)];
    let fit = search(&model, &batch, starts, 0.005);
    for (b, apart) in fit.starts_apart_nats.iter().enumerate() {
        assert!(
            (0.0..0.01).contains(&apart.unwrap()),
            "point {b}: {apart:?}"
        );
    }
    assert!(most(&short_of_optimum(&model, &batch, &fit.fitted.params)) < 0.005);
}
