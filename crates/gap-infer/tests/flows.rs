//! Searches of families without a known curvature, compared with exact posteriors and with much longer
//! searches.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod searches;

use gap_data::Batch;
use gap_infer::ascent::{Objective, SearchState, best_step_rule_for_family, run_phase};
use gap_infer::family::build_family;
use gap_infer::free_form::{SearchMode, StartingPoint};
use gap_infer::{
    DiagonalGaussian, Encoder, FreeFormInference, RefinedInference, StopReason, VariationalFamily,
    VariationalParams,
};
use gap_model::{Activation, ExactPosterior, LatentVariableModel, LinearGaussian};
use gap_spec::{AdamSettings, Family, NoiseSource, Phase, Precision, StepRule};
use gap_torch::{NoiseStream, SeedKey};
use searches::{CPU, losses, most, of_digits, sampled, searched};
use tch::Kind;

const FLOWS: [Family; 4] = [
    Family::AffineFlow,
    Family::AuxiliaryFlow,
    Family::PlanarFlow,
    Family::GaussianMixture,
];

/// Returns the endpoints of ascents from `start`, on draws of `seed`.
fn found(
    family: &dyn VariationalFamily,
    model: &dyn LatentVariableModel,
    batch: &Batch,
    start: Vec<Vec<f64>>,
    (phase, seed): (&Phase, u64),
) -> Vec<Vec<f64>> {
    let mut states: Vec<SearchState> = start.into_iter().map(SearchState::starting_at).collect();
    let mut objective = Objective::for_family(family, phase.rule, model, batch.x()).unwrap();
    let rows: Vec<usize> = (0..batch.len()).collect();
    let (ids, key) = (batch.ids(), SeedKey::root(seed));
    let observer = &mut |_: &[SearchState]| ();
    run_phase(
        &mut objective,
        phase,
        &rows,
        &mut states,
        ids,
        key,
        observer,
    )
    .unwrap();
    states.into_iter().map(|c| c.params).collect()
}

/// At the exact posterior every draw has the same weight, so that the bound is without noise.
#[test]
fn the_search_stays_at_the_exact_posterior_of_a_linear_gaussian() {
    for (dim, n_points) in [(2, 10), (10, 6), (50, 2)] {
        let model = LinearGaussian::random(dim, 2 * dim, 0.5, SeedKey::root(6), CPU);
        let batch = sampled(&model, n_points);
        let evidence = model.log_evidence(batch.x()).unwrap();
        let evidence = Vec::<f64>::try_from(evidence).unwrap();
        for name in FLOWS {
            let family = build_family(name, dim);
            let fit = searched(family.as_ref(), &model, &batch, 0.01);
            let params = fit.fitted.params.to_rows();
            let losses = losses(family.as_ref(), &model, &batch, &params, 1024);
            let gap: Vec<f64> = losses.iter().zip(&evidence).map(|(l, e)| l + e).collect();
            println!("{name}, D = {dim}: {:.1e} nats", most(&gap));
            assert!(most(&gap) < 1e-3, "{name}, D = {dim}: {gap:?}");
            for stop in &fit.fitted.stops {
                assert!(
                    matches!(stop, StopReason::Converged { .. }),
                    "{name}: {stop:?}"
                );
            }
        }
    }
}

/// Adam starts from the prior, without searches in smaller families before it.
#[test]
fn adam_alone_finds_the_posterior_of_a_linear_gaussian() {
    let model = LinearGaussian::random(2, 4, 0.5, SeedKey::root(6), CPU);
    let batch = sampled(&model, 6);
    let evidence = model.log_evidence(batch.x()).unwrap();
    let evidence = Vec::<f64>::try_from(evidence).unwrap();
    for name in FLOWS.into_iter().chain([Family::FullGaussian]) {
        let family = build_family(name, 2);
        let phase = Phase {
            noise: NoiseSource::Sequence,
            n_samples: 64,
            ..Phase::new(StepRule::Adam, 1000)
        };
        let start = family
            .standard_normal_params(batch.len() as i64, CPU)
            .to_rows();
        let params = found(family.as_ref(), &model, &batch, start, (&phase, 4));
        // `losses` uses the entropy in closed form for the full Gaussian, and `log q` at the draws for the
        // others.
        let losses = losses(family.as_ref(), &model, &batch, &params, 1024);
        let gap: Vec<f64> = losses.iter().zip(&evidence).map(|(l, e)| l + e).collect();
        println!("{name}: {:.1e} nats", most(&gap));
        assert!(most(&gap) < 0.02, "{name}: {gap:?}");
    }
}

/// Further ascent, with ten times the gradients of the search, gains less than the bound at most datapoints.
fn check_bound_by_a_longer_search(name: Family) {
    let (model, batch) = of_digits(4, 32, 20);
    let family = build_family(name, 4);
    let fit = searched(family.as_ref(), &model, &batch, 0.05);
    let params = fit.fitted.params.to_rows();
    let short = losses(family.as_ref(), &model, &batch, &params, 4096);
    let phase = Phase {
        adam: AdamSettings {
            learning_rate: 0.01,
            ..AdamSettings::FLOW_DEFAULTS
        },
        noise: NoiseSource::Sequence,
        n_samples: 128,
        ..Phase::new(StepRule::Adam, 1500)
    };
    let params = found(family.as_ref(), &model, &batch, params, (&phase, 9));
    let long = losses(family.as_ref(), &model, &batch, &params, 4096);
    let (mut covered, mut estimated) = (0, 0.0);
    for ((stop, short), long) in fit.fitted.stops.iter().zip(&short).zip(&long) {
        let StopReason::Converged { remaining, .. } = stop else {
            panic!("{name}: {stop:?}");
        };
        covered += usize::from(remaining.upper_bound_nats() >= short - long);
        estimated += remaining.nats / batch.len() as f64;
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let found = mean(&short) - mean(&long);
    println!("{name}: {found:.4} nats for {estimated:.4}, {covered} of 20 covered");
    assert!(covered >= 17, "{name}: {covered} of 20 covered");
    assert!(found < 0.05, "{name}: {found}");
}

#[test]
fn the_bound_of_an_affine_flow_covers_what_a_longer_search_finds() {
    check_bound_by_a_longer_search(Family::AffineFlow);
}

#[test]
fn the_bound_of_an_auxiliary_flow_covers_what_a_longer_search_finds() {
    check_bound_by_a_longer_search(Family::AuxiliaryFlow);
}

#[test]
fn the_bound_of_a_planar_flow_covers_what_a_longer_search_finds() {
    check_bound_by_a_longer_search(Family::PlanarFlow);
}

#[test]
fn the_bound_of_a_mixture_covers_what_a_longer_search_finds() {
    check_bound_by_a_longer_search(Family::GaussianMixture);
}

#[test]
fn refining_a_flow_raises_its_bound() {
    let (model, batch) = of_digits(4, 32, 20);
    let family = build_family(Family::AffineFlow, 4);
    let (tanh, key) = (Activation::Tanh, SeedKey::root(12));
    let encoder = Encoder::with_random_layers(64, &[8], family.as_ref(), tanh, key, CPU);
    let refined = RefinedInference {
        family: family.as_ref(),
        encoder: &encoder,
        phase: Phase {
            noise: NoiseSource::Sequence,
            n_samples: 32,
            ..Phase::new(best_step_rule_for_family(family.as_ref()), 100)
        },
        steps: vec![10, 100],
    };
    let path = refined
        .fit_after_each_step_count(&model, &batch, SeedKey::root(6))
        .unwrap();
    let mean = |params: Vec<Vec<f64>>| {
        let losses = losses(family.as_ref(), &model, &batch, &params, 1024);
        losses.iter().sum::<f64>() / losses.len() as f64
    };
    let amortized = mean(encoder.encode(batch.x()).to_rows());
    let ends: Vec<f64> = path.iter().map(|fit| mean(fit.params.to_rows())).collect();
    assert!(
        ends[0] < amortized && ends[1] < ends[0],
        "{amortized}: {ends:?}"
    );
}

/// The ascent starts from the encoder's output where that is better than the full Gaussian's optimum.
#[test]
fn a_search_never_ends_below_its_encoder() {
    let (model, batch) = of_digits(4, 32, 8);
    let family = build_family(Family::AffineFlow, 4);
    let (tanh, key) = (Activation::Tanh, SeedKey::root(12));
    let encoder = Encoder::with_random_layers(64, &[8], family.as_ref(), tanh, key, CPU);
    let free_form = FreeFormInference {
        family: family.as_ref(),
        starts: vec![StartingPoint::Prior, StartingPoint::Encoder(&encoder)],
        search: SearchMode::UntilCertified,
        tolerance_nats: 0.1,
        max_steps: 5000,
        precision: Precision::Full,
    };
    let fit = free_form.search(&model, &batch, SeedKey::root(5)).unwrap();
    let of = |params| losses(family.as_ref(), &model, &batch, params, 1024);
    let (own, encoded) = (
        of(&fit.fitted.params.to_rows()),
        of(&encoder.encode(batch.x()).to_rows()),
    );
    for (own, encoded) in own.iter().zip(encoded) {
        assert!(*own < encoded + 0.02, "{own} above {encoded}");
    }
}

/// `E_q[p(x, z) r / q] = p(x)` for every `λ`, where `r` is the density of the reverse model, if there is one.
/// It fails if any determinant or density is computed wrongly.
#[test]
fn weights_of_any_flow_have_the_evidence_as_their_mean() {
    let model = LinearGaussian::random(2, 4, 1.0, SeedKey::root(6), CPU);
    let batch = sampled(&model, 5);
    let evidence = model.log_evidence(batch.x()).unwrap();
    let evidence = Vec::<f64>::try_from(evidence).unwrap();
    for name in FLOWS {
        let family = build_family(name, 2);
        let near = searched(&DiagonalGaussian::new(2), &model, &batch, 0.01);
        let near = near.fitted.params.to_rows();
        let ids = batch.ids();
        let bent = NoiseStream::first_normals(SeedKey::root(9), ids, family.param_dim() as usize);
        let rows: Vec<Vec<f64>> = near
            .iter()
            .zip(bent.chunks_exact(family.param_dim() as usize))
            .map(|(near, bent)| {
                let contained = family.embed_smaller_family(near);
                let pairs = contained.iter().zip(bent);
                pairs.map(|(at, by)| at + 0.15 * f64::from(*by)).collect()
            })
            .collect();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let params = VariationalParams::from_rows(&rows, CPU);
        let mut noise = NoiseStream::new(SeedKey::root(10), ids, CPU);
        let draws = family.sample(&params, 40_000, &mut noise);
        let log_weights = model.log_joint(batch.x(), &draws.z).unwrap() - draws.log_q;
        for (b, evidence) in evidence.iter().enumerate() {
            let ratios = (log_weights.select(1, b as i64) - *evidence).exp();
            let mean = ratios.mean(Kind::Double).double_value(&[]);
            let std_error = ratios.std(true).double_value(&[]) / 200.0;
            let error = (mean - 1.0) / std_error;
            assert!(
                error.abs() < 4.5 && std_error < 0.05,
                "{name}: {mean} {std_error}"
            );
            // `q` is not the posterior, at which all weights are equal.
            assert!(std_error > 1e-4, "{name}");
        }
    }
}
