//! Ascents whose gradients use products of 16-bit factors end where those in full precision do.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod searches;

use gap_infer::ascent::{
    EvaluationRequest, NoiseDraws, Objective, PhaseSchedule, SearchState, n_draws_for_latent_dim,
    whitened_sobol_normals,
};
use gap_model::Backend;
use gap_spec::{AdamSettings, NoiseSource, Phase, Precision, StepRule};
use gap_torch::SeedKey;
use searches::{most, of_digits, prior_like};
use tch::Kind;

/// Whether mixed precision differs from full precision, which depends on the processor and on the kernels'
/// switch.
fn is_half_there() -> bool {
    let is_there = Backend::from_environment().unwrap().has_half_precision();
    if !is_there {
        println!("skipped: no products of 16-bit factors here, or they are switched off");
    }
    is_there
}

/// How much worse the endpoint in mixed precision is than that in full precision, for each datapoint, nats.
/// Both ascents use the same draws, and the endpoints are compared in `f64` on 4,096 others.
fn worse(dim: i64, hidden: i64, schedule: &PhaseSchedule) -> Vec<f64> {
    let (model, batch) = of_digits(dim, hidden, 100);
    let rows: Vec<usize> = (0..batch.len()).collect();
    let [full, half] = [Precision::Full, Precision::Mixed].map(|precision| {
        let mut objective = Objective::new(&model, batch.x()).unwrap();
        let mut states = prior_like(batch.len(), dim);
        let schedule = schedule.clone().with_precision(precision);
        let (ids, key) = (batch.ids(), SeedKey::root(21));
        schedule
            .run(&mut objective, &rows, &mut states, ids, key, &mut |_| ())
            .unwrap();
        states
    });
    assert_ne!(
        full[0].params, half[0].params,
        "both took the same products"
    );
    let double = model.to_kind(Kind::Double);
    let mut exact = Objective::new(&double, &batch.x().to_kind(Kind::Double)).unwrap();
    let d = dim as usize;
    let draws = NoiseDraws::from_common_normals(
        whitened_sobol_normals::<f32>(SeedKey::root(22), 4096, d),
        d,
    );
    let mut losses = |ends: &[SearchState]| -> Vec<f64> {
        let params: Vec<&[f64]> = ends.iter().map(|end| end.params.as_slice()).collect();
        let request = EvaluationRequest {
            loss: true,
            ..EvaluationRequest::GRADIENT_ONLY
        };
        let evaluations = exact.evaluate(&rows, &params, &draws, request).unwrap();
        evaluations.iter().map(|e| e.loss_nats()).collect()
    };
    let (full, half) = (losses(&full), losses(&half));
    half.iter()
        .zip(full)
        .map(|(half, full)| half - full)
        .collect()
}

fn check(what: &str, dim: i64, worse: &[f64]) {
    let mean = worse.iter().sum::<f64>() / worse.len() as f64;
    let apart: Vec<f64> = worse.iter().map(|w| w.abs()).collect();
    println!(
        "{what}, D = {dim}: {mean:.6} nats worse on average, at most {:.6} apart",
        most(&apart)
    );
    assert!(mean.abs() < 1e-4, "{what}, D = {dim}: {mean} nats");
    assert!(most(&apart) < 1e-3, "{what}, D = {dim}: {apart:?}");
}

/// On average, endpoints change by less than a hundredth of a search's tolerance of 0.01 nats.
#[test]
fn the_default_search_ends_where_full_precision_does() {
    if !is_half_there() {
        return;
    }
    for (dim, hidden) in [(2, 32), (10, 64), (50, 64)] {
        let schedule = PhaseSchedule::default_for_latent_dim(dim as usize, 5e-4, 300);
        check("default", dim, &worse(dim, hidden, &schedule));
    }
}

/// Adam from the prior to the optimum: no evaluation computes the loss, so that all use 16-bit factors.
fn check_adam(dim: i64, hidden: i64) {
    if !is_half_there() {
        return;
    }
    let adam = AdamSettings {
        learning_rate: 0.03,
        averaged: true,
        log_variance: false,
        epsilon: AdamSettings::DEFAULT_EPSILON,
    };
    let phase = Phase {
        adam,
        noise: NoiseSource::Sequence,
        n_samples: n_draws_for_latent_dim(dim as usize) as u32,
        ..Phase::new(StepRule::Adam, 1500)
    };
    let schedule = PhaseSchedule {
        phases: vec![phase],
    };
    check("Adam", dim, &worse(dim, hidden, &schedule));
}

#[test]
fn adam_ends_where_full_precision_does_in_two_and_ten_dimensions() {
    check_adam(2, 32);
    check_adam(10, 64);
}

#[test]
fn adam_ends_where_full_precision_does_in_fifty_dimensions() {
    check_adam(50, 64);
}
