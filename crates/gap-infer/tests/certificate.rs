//! The certificate at parameters that lie at known distances from their optima.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod searches;

use gap_data::Batch;
use gap_infer::ascent::{NoiseDraws, Objective, SearchState, run_phase, whitened_sobol_normals};
use gap_infer::certificate::estimate_remaining_nats;
use gap_infer::free_form::{SearchMode, StartingPoint};
use gap_infer::{ClosedFormGaussianFamily, DiagonalGaussian, FreeFormInference, VariationalParams};
use gap_model::{ExactPosterior, LatentVariableModel, Likelihood, LinearGaussian, MlpDecoder};
use gap_spec::{NoiseSource, Phase, Precision, StepRule, StoppingRule};
use gap_torch::{NoiseStream, SeedKey};
use searches::{losses_on_draws, of_digits, of_images};
use tch::{Device, Kind, Tensor};

const DISTANCES: [f64; 6] = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0];

/// The endpoint of each datapoint's search.
fn searched(model: &MlpDecoder, batch: &Batch) -> Vec<Vec<f64>> {
    let free_form = FreeFormInference {
        family: &DiagonalGaussian::new(model.latent_dim()),
        starts: vec![StartingPoint::Prior],
        search: SearchMode::UntilCertified,
        tolerance_nats: 0.005,
        max_steps: 300,
        precision: Precision::Mixed,
    };
    let ends = free_form.search(model, batch, SeedKey::root(6)).unwrap();
    ends.fitted.params.to_rows()
}

/// The optimum of each datapoint on the `n` whitened draws of `key`, reached by Newton steps from `found`.
fn polished(
    model: &MlpDecoder,
    batch: &Batch,
    found: &[Vec<f64>],
    key: SeedKey,
    n: usize,
) -> Vec<Vec<f64>> {
    let mut states: Vec<SearchState> = found
        .iter()
        .cloned()
        .map(SearchState::starting_at)
        .collect();
    let polish = Phase {
        noise: NoiseSource::Fixed,
        n_samples: n as u32,
        stopping: StoppingRule::Decrement,
        below_nats: 1e-6,
        ..Phase::new(StepRule::NewtonStein, 40)
    };
    let mut objective = Objective::new(model, batch.x()).unwrap();
    let rows: Vec<usize> = (0..batch.len()).collect();
    run_phase(
        &mut objective,
        &polish,
        &rows,
        &mut states,
        batch.ids(),
        key,
        &mut |_| (),
    )
    .unwrap();
    states.into_iter().map(|state| state.params).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A row of standard normals for each id: `[B, W]`.
fn normal(key: SeedKey, ids: &[u64], width: i64) -> Tensor {
    let mut noise = NoiseStream::new(key, ids, Device::Cpu);
    noise.normal(1, width).squeeze_dim(0)
}

/// Moves each datapoint away from its optimum along a random direction in `(w, log σ)`, until its distance is
/// within 10% of `target` nats. Returns the parameters and the distances.
fn at_distance(
    objective: &mut Objective,
    optima: &[Vec<f64>],
    draws: &NoiseDraws,
    target: f64,
    key: SeedKey,
) -> (Vec<Vec<f64>>, Vec<f64>) {
    let dim = optima[0].len() / 2;
    let ids: Vec<u64> = (0..optima.len() as u64).collect();
    let directions = normal(key, &ids, 2 * dim as i64);
    let directions = Vec::<f64>::try_from(directions.to_kind(Kind::Double).view([-1])).unwrap();
    let least = losses_on_draws(objective, optima, draws);
    let mut lengths = vec![(target / dim as f64).sqrt(); optima.len()];
    for _ in 0..8 {
        let moved: Vec<Vec<f64>> = optima
            .iter()
            .zip(directions.chunks_exact(2 * dim))
            .zip(&lengths)
            .map(|((optimum, direction), length)| {
                let step = |i: usize| {
                    let std = if i < dim { optimum[dim + i].exp() } else { 1.0 };
                    optimum[i] + length * std * direction[i]
                };
                (0..2 * dim).map(step).collect()
            })
            .collect();
        let values = losses_on_draws(objective, &moved, draws);
        let distances: Vec<f64> = values.iter().zip(&least).map(|(v, l)| v - l).collect();
        if distances.iter().all(|d| (d / target - 1.0).abs() < 0.1) {
            return (moved, distances);
        }
        for (length, distance) in lengths.iter_mut().zip(distances) {
            // Near the optimum the distance grows with the square of the length.
            *length *= (target / distance).sqrt().clamp(0.2, 5.0);
        }
    }
    panic!("no point at {target} nats");
}

/// Checks that the bound covers 95% of datapoints, and that the median ratio of estimate to truth is within
/// 15% of one, with all distances taken together.
///
/// The truth is a difference of losses in `f64` on the `n` draws on which the optimum was found, where its
/// gradient is zero. Its error is less than a tenth of the smallest distance: on these draws, optima that were
/// found on others are worse by less than that.
fn check((model, batch): &(MlpDecoder, Batch), n: usize) {
    let dim = model.latent_dim() as usize;
    let key = SeedKey::root(7);
    let found = searched(model, batch);
    let double = &model.to_kind(Kind::Double);
    let double_batch = &Batch::new(batch.ids().to_vec(), batch.x().to_kind(Kind::Double));
    let optima = polished(double, double_batch, &found, key, n);
    // These are the draws on which `polished` finds the optimum for this key.
    let draws = NoiseDraws::from_common_normals(whitened_sobol_normals::<f32>(key, n, dim), dim);
    let mut exact = Objective::new(double, double_batch.x()).unwrap();
    let mut objective = Objective::new(model, batch.x()).unwrap();
    let rows: Vec<usize> = (0..batch.len()).collect();
    let others = polished(double, double_batch, &found, SeedKey::root(10), n);
    let (least, of_others) = (
        losses_on_draws(&mut exact, &optima, &draws),
        losses_on_draws(&mut exact, &others, &draws),
    );
    for (b, (least, other)) in least.iter().zip(of_others).enumerate() {
        let off = other - least;
        assert!(off < 0.1 * DISTANCES[0], "D = {dim}, point {b}: {off}");
    }
    println!("D = {dim}\n  nats   median ratio   least   most   covered   median error");
    let (mut ratios, mut covered) = (Vec::new(), 0);
    for (i, target) in DISTANCES.into_iter().enumerate() {
        let direction_key = SeedKey::root(8).for_index(i as u64);
        let (moved, distances) = at_distance(&mut exact, &optima, &draws, target, direction_key);
        let moved: Vec<&[f64]> = moved.iter().map(Vec::as_slice).collect();
        let certificate_key = SeedKey::root(9).for_index(i as u64);
        let certificates =
            estimate_remaining_nats(&mut objective, &rows, &moved, 0, certificate_key).unwrap();
        let pairs = || certificates.iter().zip(&distances);
        let own: Vec<f64> = pairs().map(|(c, truth)| c.nats / truth).collect();
        let own_covered = pairs()
            .filter(|(c, truth)| c.upper_bound_nats() >= **truth)
            .count();
        println!(
            "{target:6}   {:12.3}   {:5.2}   {:4.2}   {own_covered:3}/{}   {:.5}",
            median(own.clone()),
            own.iter().copied().fold(f64::INFINITY, f64::min),
            own.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            own.len(),
            median(certificates.iter().map(|c| c.std_error_nats).collect()),
        );
        ratios.extend(own);
        covered += own_covered;
    }
    let n_all = ratios.len();
    let typical = median(ratios);
    println!("   all   {typical:12.3}                  {covered}/{n_all}");
    assert!(
        (0.85..1.15).contains(&typical),
        "D = {dim}: median ratio {typical}"
    );
    assert!(
        covered * 100 >= 95 * n_all,
        "D = {dim}: {covered} of {n_all} covered"
    );
}

#[test]
fn the_bound_covers_known_distances_in_two_dimensions() {
    check(&of_digits(2, 32, 40), 4096);
}

#[test]
fn the_bound_covers_known_distances_in_ten_dimensions() {
    check(&of_digits(10, 64, 40), 4096);
}

#[test]
fn the_bound_covers_known_distances_in_fifty_dimensions() {
    check(&of_digits(50, 64, 40), 4096);
}

/// Grey digits with a standard deviation of 0.01: posteriors are narrow, and far from quadratic.
fn check_little_noise(dim: i64, hidden: i64) {
    let likelihood = Likelihood::Gaussian { std: 0.01 };
    check(&of_images("digits", likelihood, dim, hidden, 40), 4096);
}

#[test]
fn the_bound_covers_known_distances_under_little_noise_in_two_dimensions() {
    check_little_noise(2, 32);
}

#[test]
fn the_bound_covers_known_distances_under_little_noise_in_ten_dimensions() {
    check_little_noise(10, 64);
}

#[test]
fn the_bound_covers_known_distances_under_little_noise_in_fifty_dimensions() {
    check_little_noise(50, 64);
}

#[test]
fn the_bound_covers_known_distances_with_forty_collapsed_dimensions() {
    let (model, batch) = of_digits(50, 64, 40);
    let weight = &model.network().parameters()[0]; // [H, D]
    let _ = weight.narrow(1, 10, 40).zero_();
    check(&(model, batch), 4096);
}

/// At a known distance from a known optimum, the estimate is near the truth and the bound covers it.
#[test]
fn the_certificate_knows_its_distance_to_a_known_optimum() {
    for dim in [2, 10, 50] {
        let model = LinearGaussian::random(dim, dim + 15, 0.5, SeedKey::root(7), Device::Cpu);
        let family = DiagonalGaussian::new(dim);
        let ids: Vec<u64> = (0..60).collect();
        let (x, _) = model
            .sample_joint(&mut NoiseStream::new(SeedKey::root(8), &ids, Device::Cpu))
            .unwrap();
        let (mean, covariance) = model.posterior_moments(&x).unwrap();
        let log_std = Tensor::linalg_inv(&covariance).diagonal(0, 0, 1).log() * -0.5;
        let optimum = Tensor::cat(&[&mean, &log_std.expand_as(&mean)], 1).to_kind(Kind::Float);
        let scale = Tensor::cat(&[log_std.exp(), log_std.ones_like()], 0);
        for (size, seed) in [(0.02, 9), (0.1, 10)] {
            let direction = normal(SeedKey::root(seed), &ids, 2 * dim) * scale.to_kind(Kind::Float);
            let params = VariationalParams(&optimum + direction * size);
            let truth = family.kl_to_gaussian(&params, &mean, &covariance)
                - family.min_kl_to_gaussian(&covariance);
            let rows: Vec<usize> = (0..ids.len()).collect();
            let of_rows = params.to_rows();
            let of_rows: Vec<&[f64]> = of_rows.iter().map(Vec::as_slice).collect();
            let mut objective = Objective::new(&model, &x).unwrap();
            let estimates =
                estimate_remaining_nats(&mut objective, &rows, &of_rows, 0, SeedKey::root(11))
                    .unwrap();
            let mut ratios: Vec<f64> = Vec::new();
            let mut covered = 0;
            for (b, estimate) in estimates.iter().enumerate() {
                let truth = truth.double_value(&[b as i64]);
                ratios.push(estimate.nats / truth);
                covered += usize::from(estimate.upper_bound_nats() >= truth);
            }
            ratios.sort_by(f64::total_cmp);
            let median = ratios[ratios.len() / 2];
            assert!(
                (0.85..1.15).contains(&median),
                "D = {dim}, size {size}: median ratio {median}"
            );
            assert!(
                covered * 100 >= 95 * ids.len(),
                "D = {dim}, size {size}: {covered} of {} covered",
                ids.len()
            );
        }
    }
}
