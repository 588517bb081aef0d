//! The bound of families without a known curvature, at parameters that lie at known distances from the end of a
//! long search.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod searches;

use gap_data::Batch;
use gap_infer::ascent::{NoiseDraws, Objective, SearchState, run_phase, whitened_sobol_normals};
use gap_infer::family::build_family;
use gap_infer::free_form::{SearchMode, StartingPoint};
use gap_infer::{FreeFormInference, VariationalFamily, VariationalParams};
use gap_model::MlpDecoder;
use gap_spec::{AdamSettings, Family, NoiseSource, Phase, Precision, StepRule};
use gap_torch::{NoiseStream, SeedKey};
use searches::{CPU, losses_on_draws, of_digits};

const DISTANCES: [f64; 6] = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0];

/// The number of draws on which distances are measured.
const N_DRAWS: usize = 4096;

fn search_of(family: &dyn VariationalFamily) -> FreeFormInference<'_> {
    FreeFormInference {
        family,
        starts: vec![StartingPoint::Prior],
        search: SearchMode::UntilCertified,
        tolerance_nats: 0.005,
        max_steps: 20_000,
        precision: Precision::Full,
    }
}

/// The end of a search for each datapoint, and of `steps` further steps of Adam, on 256 draws each.
fn long_search(
    family: &dyn VariationalFamily,
    model: &MlpDecoder,
    batch: &Batch,
    steps: u32,
) -> Vec<Vec<f64>> {
    let fit = search_of(family)
        .search(model, batch, SeedKey::root(5))
        .unwrap();
    let params = fit.fitted.params.to_rows().into_iter();
    let mut states: Vec<SearchState> = params.map(SearchState::starting_at).collect();
    let phase = Phase {
        adam: AdamSettings {
            learning_rate: 0.004,
            ..AdamSettings::FLOW_DEFAULTS
        },
        noise: NoiseSource::Sequence,
        n_samples: 256,
        ..Phase::new(StepRule::Adam, steps)
    };
    let mut objective = Objective::for_family(family, StepRule::Adam, model, batch.x()).unwrap();
    let rows: Vec<usize> = (0..batch.len()).collect();
    let (ids, key) = (batch.ids(), SeedKey::root(6));
    run_phase(
        &mut objective,
        &phase,
        &rows,
        &mut states,
        ids,
        key,
        &mut |_| (),
    )
    .unwrap();
    states.into_iter().map(|state| state.params).collect()
}

/// `−L` of each datapoint on the draws that distances are measured on, nats.
fn losses(objective: &mut Objective, params: &[Vec<f64>]) -> Vec<f64> {
    let dim = objective.noise_dim();
    let normals: Vec<f32> = whitened_sobol_normals(SeedKey::root(7), N_DRAWS, dim);
    let draws = NoiseDraws::from_common_normals(normals, dim);
    losses_on_draws(objective, params, &draws)
}

/// Moves each datapoint from `ends` along a random direction, until its ELBO is within 10% of `target` nats
/// below that of its end. The means and the factor of the covariance move in standard deviations.
fn at_distance(
    objective: &mut Objective,
    dim: usize,
    ends: &[Vec<f64>],
    target: f64,
    key: SeedKey,
) -> (Vec<Vec<f64>>, Vec<f64>) {
    let n_params = ends[0].len();
    let ids: Vec<u64> = (0..ends.len() as u64).collect();
    let directions = NoiseStream::first_normals(key, &ids, n_params);
    let least = losses(objective, ends);
    let mut lengths = vec![0.1 * target.sqrt(); ends.len()];
    let mut found = (ends.to_vec(), vec![f64::NAN; ends.len()]);
    for _ in 0..20 {
        let moved: Vec<Vec<f64>> = ends
            .iter()
            .zip(directions.chunks_exact(n_params))
            .zip(&lengths)
            .map(|((end, direction), length)| {
                let step = |i: usize| {
                    let std = if i < dim { end[dim + i].exp() } else { 1.0 };
                    end[i] + length * std * f64::from(direction[i])
                };
                (0..n_params).map(step).collect()
            })
            .collect();
        let distances = losses(objective, &moved);
        let mut all_found = true;
        for (row, moved) in moved.into_iter().enumerate() {
            let distance = distances[row] - least[row];
            if (distance / target - 1.0).abs() < 0.1 {
                found.0[row] = moved;
                found.1[row] = distance;
            } else if found.1[row].is_nan() {
                all_found = false;
                // Near the end the distance grows with the square of the length.
                let factor = (target / distance.max(0.05 * target)).sqrt();
                lengths[row] *= factor.clamp(0.3, 3.0);
            }
        }
        if all_found {
            break;
        }
    }
    found
}

/// Checks that the bound covers 95% of datapoints at all distances together, by a binomial test at the level
/// 0.01.
fn check(name: Family, (dim, hidden, n_points, steps): (i64, i64, usize, u32)) {
    let (model, batch) = of_digits(dim, hidden, n_points);
    let family = build_family(name, dim);
    let family = family.as_ref();
    let ends = long_search(family, &model, &batch, steps);
    let mut objective = Objective::for_family(family, StepRule::Adam, &model, batch.x()).unwrap();
    let (mut n, mut n_covered) = (0, 0);
    println!("{name}, D = {dim}\n  nats   median estimate / truth   median bound   covered");
    for (i, target) in DISTANCES.into_iter().enumerate() {
        let key = SeedKey::root(8).for_index(i as u64);
        let (moved, distances) = at_distance(&mut objective, dim as usize, &ends, target, key);
        let rows: Vec<&[f64]> = moved.iter().map(Vec::as_slice).collect();
        let params = VariationalParams::from_rows(&rows, CPU);
        let certificates = search_of(family)
            .certify(
                &params,
                &model,
                &batch,
                SeedKey::root(9).for_index(i as u64),
            )
            .unwrap();
        let known: Vec<usize> = (0..n_points)
            .filter(|&b| distances[b].is_finite())
            .collect();
        let covered = known
            .iter()
            .filter(|&&b| certificates[b].upper_bound_nats() >= distances[b])
            .count();
        let median = |of: &dyn Fn(usize) -> f64| {
            let mut values: Vec<f64> = known.iter().map(|&b| of(b)).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        println!(
            "{target:6} {:10.2} {:10.4} {covered:6}/{}",
            median(&|b| certificates[b].nats / distances[b]),
            median(&|b| certificates[b].upper_bound_nats()),
            known.len()
        );
        n += known.len();
        n_covered += covered;
    }
    assert!(n * 10 >= 9 * n_points * DISTANCES.len(), "{n} points moved");
    let least = 0.95 * n as f64 - 2.33 * (0.95 * 0.05 * n as f64).sqrt();
    assert!(
        n_covered as f64 >= least,
        "{name}: {n_covered} of {n} covered"
    );
}

const SHORT: (i64, i64, usize, u32) = (4, 32, 10, 1000);

#[test]
fn the_bound_of_an_affine_flow_covers_known_distances() {
    check(Family::AffineFlow, SHORT);
}

#[test]
fn the_bound_of_an_auxiliary_flow_covers_known_distances() {
    check(Family::AuxiliaryFlow, SHORT);
}

#[test]
fn the_bound_of_a_planar_flow_covers_known_distances() {
    check(Family::PlanarFlow, SHORT);
}

#[test]
fn the_bound_of_a_mixture_covers_known_distances() {
    check(Family::GaussianMixture, SHORT);
}

/// `cargo test --locked --workspace --test flow_certificates -- --ignored --nocapture`
#[test]
#[ignore = "takes a quarter of an hour"]
fn the_bound_covers_known_distances_on_larger_decoders() {
    for name in [
        Family::AffineFlow,
        Family::AuxiliaryFlow,
        Family::PlanarFlow,
        Family::GaussianMixture,
    ] {
        check(name, (4, 32, 40, 4000));
        check(name, (10, 64, 24, 4000));
    }
}
