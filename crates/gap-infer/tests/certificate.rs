//! The certificate on posteriors that are not Gaussian, at points put at known distances.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use gap_data::{Batch, LoadOptions};
use gap_infer::ascent::{
    Climber, Draws, Noise, Objective, Phase, Rule, Stopping, Wanted, climb, whitened_sobol,
};
use gap_infer::certificate::certify;
use gap_infer::free_form::{Search, StartingPoint};
use gap_infer::train::{Training, fit_jointly};
use gap_infer::{DiagonalGaussian, Encoder, FreeForm};
use gap_model::{Activation, LatentVariableModel, Likelihood, Mlp, MlpDecoder};
use gap_torch::{NoiseStream, SeedKey};
use tch::{Device, Kind};

const N_POINTS: usize = 40;
const DISTANCES: [f64; 6] = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0];
const VALUE: Wanted = Wanted {
    loss: true,
    curvature: false,
};

/// A decoder fitted to digits for a moment, and digits.
fn of_digits(dim: i64, hidden: i64) -> (MlpDecoder, Batch) {
    let data = gap_data::load("digits-binarized", &LoadOptions::default())
        .unwrap()
        .train;
    let family = DiagonalGaussian::new(dim);
    let (tanh, cpu) = (Activation::Tanh, Device::Cpu);
    let network = Mlp::random(&[dim, hidden, 64], tanh, SeedKey::root(1), cpu);
    let mut decoder = MlpDecoder::new(network, Likelihood::Bernoulli);
    let mut encoder = Encoder::random(64, &[64], &family, tanh, SeedKey::root(2), cpu);
    let training = Training {
        steps: 800,
        batch_size: 64,
        learning_rate: 5e-3,
        n_samples: 1,
    };
    let key = SeedKey::root(3);
    fit_jointly(
        &mut decoder,
        &family,
        &mut encoder,
        &data,
        training,
        key,
        &|_| (),
    )
    .unwrap();
    let batch = data.first(N_POINTS).batches(N_POINTS, cpu).next().unwrap();
    (decoder, batch)
}

/// A random decoder, and `n` draws from it.
fn at_random(widths: &[i64], n: u64) -> (MlpDecoder, Batch) {
    let network = Mlp::random(widths, Activation::Tanh, SeedKey::root(4), Device::Cpu);
    let decoder = MlpDecoder::new(network, Likelihood::Bernoulli);
    let ids: Vec<u64> = (0..n).collect();
    let mut noise = NoiseStream::new(SeedKey::root(5), &ids, Device::Cpu);
    let (x, _) = decoder.sample_joint(&mut noise).unwrap();
    (decoder, Batch::new(ids, x))
}

/// The optimum of each datapoint on the `n` whitened draws of `key`.
fn optima(model: &MlpDecoder, batch: &Batch, key: SeedKey, n: usize) -> Vec<Vec<f64>> {
    let free_form = FreeForm {
        family: DiagonalGaussian::new(model.latent_dim()),
        starts: vec![StartingPoint::Prior],
        search: Search::UntilCertified,
        tolerance_nats: 0.005,
        max_steps: 300,
    };
    let ends = free_form.search(model, batch, SeedKey::root(6)).unwrap();
    let params = ends.fitted.params.to_rows();
    let mut climbers: Vec<Climber> = params.into_iter().map(Climber::at).collect();
    let polish = Phase {
        rule: Rule::NewtonStein,
        noise: Noise::Fixed,
        n_samples: n,
        stopping: Stopping::Decrement { below_nats: 1e-6 },
        max_steps: 15,
    };
    let mut objective = Objective::new(model, batch.x()).unwrap();
    let rows: Vec<usize> = (0..batch.len()).collect();
    climb(
        &mut objective,
        &polish,
        &rows,
        &mut climbers,
        batch.ids(),
        key,
        &mut |_| (),
    )
    .unwrap();
    climbers.into_iter().map(|climber| climber.params).collect()
}

/// `−L` of each datapoint in `f64`.
fn losses(objective: &mut Objective, params: &[Vec<f64>], draws: &Draws) -> Vec<f64> {
    let rows: Vec<usize> = (0..params.len()).collect();
    let params: Vec<&[f64]> = params.iter().map(Vec::as_slice).collect();
    let evaluations = objective.evaluate(&rows, &params, draws, VALUE).unwrap();
    evaluations.iter().map(|e| e.loss).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Each point a step along a random direction in `(w, log σ)` away from its optimum, whose length
/// is sought until the distance in nats is within a tenth of the one asked for; and that distance.
fn at_distance(
    objective: &mut Objective,
    optima: &[Vec<f64>],
    draws: &Draws,
    target: f64,
    key: SeedKey,
) -> (Vec<Vec<f64>>, Vec<f64>) {
    let dim = optima[0].len() / 2;
    let ids: Vec<u64> = (0..optima.len() as u64).collect();
    let directions = NoiseStream::new(key, &ids, Device::Cpu).normal(1, 2 * dim as i64);
    let directions = Vec::<f64>::try_from(directions.to_kind(Kind::Double).view([-1])).unwrap();
    let least = losses(objective, optima, draws);
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
        let values = losses(objective, &moved, draws);
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

/// The bound covers, and the estimate is near, at all distances together.
fn check(name: &str, model: &MlpDecoder, batch: &Batch, n: usize) {
    let dim = model.latent_dim() as usize;
    let key = SeedKey::root(7);
    let optima = optima(model, batch, key, n);
    // The polishing's key gives its draws.
    let draws = Draws::common(whitened_sobol(key, n, dim), dim);
    let double = model.to_kind(Kind::Double);
    let mut exact = Objective::new(&double, &batch.x().to_kind(Kind::Double)).unwrap();
    let mut objective = Objective::new(model, batch.x()).unwrap();
    let rows: Vec<usize> = (0..batch.len()).collect();
    println!("{name}, D = {dim}\n  nats   median ratio   least   most   covered   median error");
    let (mut ratios, mut covered) = (Vec::new(), 0);
    for (i, target) in DISTANCES.into_iter().enumerate() {
        let direction_key = SeedKey::root(8).index(i as u64);
        let (moved, distances) = at_distance(&mut exact, &optima, &draws, target, direction_key);
        let moved: Vec<&[f64]> = moved.iter().map(Vec::as_slice).collect();
        let certificate_key = SeedKey::root(9).index(i as u64);
        let certificates = certify(&mut objective, &rows, &moved, 0, certificate_key).unwrap();
        let pairs = || certificates.iter().zip(&distances);
        let own: Vec<f64> = pairs().map(|(c, truth)| c.nats / truth).collect();
        let own_covered = pairs()
            .filter(|(c, truth)| c.bound_nats() >= **truth)
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
        "{name}: median ratio {typical}"
    );
    assert!(
        covered * 100 >= 95 * n_all,
        "{name}: {covered} of {n_all} covered"
    );
}

#[test]
fn the_bound_covers_known_distances_on_digits_in_2_dimensions() {
    let (model, batch) = of_digits(2, 32);
    check("digits", &model, &batch, 4096);
}

#[test]
fn the_bound_covers_known_distances_on_digits_in_10_dimensions() {
    let (model, batch) = of_digits(10, 64);
    check("digits", &model, &batch, 4096);
}

#[test]
fn the_bound_covers_known_distances_on_a_random_decoder_of_50_dimensions() {
    let (model, batch) = at_random(&[50, 100, 200], 20);
    check("random", &model, &batch, 1024);
}
