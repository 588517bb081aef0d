//! Posteriors with planted modes: mixtures of two or three Gaussians with known weights, 2 to 8 standard
//! deviations apart, whose evidence is exactly 1.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod searches;

use gap_data::Batch;
use gap_infer::ascent::{
    EvaluationRequest, NoiseDraws, Objective, PhaseSchedule, SearchState, whitened_sobol_normals,
};
use gap_infer::family::build_family;
use gap_infer::free_form::{FreeFormFit, OptimaCensus, SearchMode, StartingPoint};
use gap_infer::{DiagonalGaussian, FreeFormInference, StopReason, VariationalFamily};
use gap_model::{LatentVariableModel, ModelError};
use gap_spec::{Family, Precision};
use gap_torch::{NoiseStream, SeedKey};
use searches::{CPU, losses, most};
use std::f64::consts::TAU;
use tch::{Device, Kind, Tensor};

/// The standard deviation of every mode.
const STD: f64 = 0.3;
const N_MODES: i64 = 3;
/// Optima that less than this is between count as one.
const TOLERANCE_NATS: f64 = 0.02;
/// The log weight of a mode that a datapoint does not have.
const ABSENT: f64 = -1e3;

/// `p(x, z) = Σ_k w_k N(z; m_k, STD² I)`. An observation consists of the means of three modes and of their log
/// weights.
struct Planted {
    dim: i64,
}

impl LatentVariableModel for Planted {
    fn latent_dim(&self) -> i64 {
        self.dim
    }
    fn observed_dim(&self) -> i64 {
        N_MODES * (self.dim + 1)
    }
    fn device(&self) -> Device {
        CPU
    }
    fn kind(&self) -> Kind {
        Kind::Float
    }
    fn log_joint(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        let normaliser = -0.5 * self.dim as f64 * (TAU * STD * STD).ln();
        let of_modes = (0..N_MODES).map(|k| {
            let off = z - x.narrow(1, k * self.dim, self.dim);
            let square = off.square().sum_dim_intlist(-1, false, Kind::Double);
            square * (-0.5 / STD / STD) + x.select(1, N_MODES * self.dim + k) + normaliser
        });
        let of_modes: Vec<Tensor> = of_modes.collect();
        Ok(Tensor::stack(&of_modes, 0).logsumexp(0, false))
    }
    fn sample_joint(&self, _: &mut NoiseStream) -> Result<(Tensor, Tensor), ModelError> {
        unreachable!("its observations are planted")
    }
    fn check_support(&self, _: &Tensor) -> Result<(), ModelError> {
        Ok(())
    }
}

/// What is planted at one datapoint.
struct Point {
    separation: f64,
    weights: Vec<f64>,
    modes: Vec<Vec<f64>>,
}

const WEIGHTS: [&[f64]; 4] = [
    &[0.5, 0.5],
    &[0.8, 0.2],
    &[0.34, 0.33, 0.33],
    &[0.6, 0.3, 0.1],
];

/// `n` datapoints for each separation and choice of weights, with modes in random directions around random
/// centres. Three modes are at the corners of an equilateral triangle.
fn planted(dim: usize, separations: &[f64], n: usize) -> (Planted, Batch, Vec<Point>) {
    let mut points = Vec::new();
    for &separation in separations {
        for weights in WEIGHTS {
            for _ in 0..n {
                let id = points.len() as u64;
                let normals = NoiseStream::first_normals(SeedKey::root(71), &[id], 3 * dim);
                let normals: Vec<f64> = normals.iter().map(|&v| f64::from(v)).collect();
                let (centre, rest) = normals.split_at(dim);
                let (along, across) = rest.split_at(dim);
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let unit = |v: Vec<f64>| {
                    let length = dot(&v, &v).sqrt();
                    v.into_iter().map(|v| v / length).collect::<Vec<f64>>()
                };
                let along = unit(along.to_vec());
                let overlap = dot(&along, across);
                let across = across.iter().zip(&along).map(|(a, b)| a - overlap * b);
                let across = unit(across.collect());
                let corners = [(-0.5, 0.0), (0.5, 0.0), (0.0, 0.75_f64.sqrt())];
                let modes = weights.iter().zip(corners).map(|(_, (a, b))| {
                    let at = |i: usize| {
                        0.5 * centre[i] + STD * separation * (a * along[i] + b * across[i])
                    };
                    (0..dim).map(at).collect()
                });
                points.push(Point {
                    separation,
                    weights: weights.to_vec(),
                    modes: modes.collect(),
                });
            }
        }
    }
    let rows: Vec<f32> = points
        .iter()
        .flat_map(|point| {
            let mut modes: Vec<f64> = point.modes.concat();
            modes.resize(N_MODES as usize * dim, 0.0);
            let logs =
                (0..N_MODES as usize).map(|k| point.weights.get(k).map_or(ABSENT, |w| w.ln()));
            modes.extend(logs);
            modes.into_iter().map(|v| v as f32)
        })
        .collect();
    let ids: Vec<u64> = (0..points.len() as u64).collect();
    let x = Tensor::from_slice(&rows).view([points.len() as i64, -1]);
    let model = Planted { dim: dim as i64 };
    (model, Batch::new(ids, x), points)
}

fn searched(
    family: &dyn VariationalFamily,
    model: &Planted,
    batch: &Batch,
    n_random: u32,
) -> FreeFormFit {
    let random = (0..n_random).map(|index| StartingPoint::Random {
        key: SeedKey::root(72),
        index,
    });
    let free_form = FreeFormInference {
        family,
        starts: std::iter::once(StartingPoint::Prior)
            .chain(random)
            .collect(),
        search: SearchMode::UntilCertified,
        tolerance_nats: TOLERANCE_NATS,
        max_steps: 20_000,
        precision: Precision::Full,
    };
    free_form.search(model, batch, SeedKey::root(5)).unwrap()
}

/// How far the ELBO falls below both ends between two Gaussians, nats.
fn fall_between(objective: &mut Objective, row: usize, from: &[f64], to: &[f64]) -> f64 {
    let dim = from.len() / 2;
    let points: Vec<Vec<f64>> = (0..=10)
        .map(|step| {
            let share = f64::from(step) / 10.0;
            let pairs = from.iter().zip(to);
            pairs.map(|(a, b)| a + share * (b - a)).collect()
        })
        .collect();
    let points: Vec<&[f64]> = points.iter().map(Vec::as_slice).collect();
    let normals: Vec<f32> = whitened_sobol_normals(SeedKey::root(74), 1024, dim);
    let draws = NoiseDraws::from_common_normals(normals, dim);
    let request = EvaluationRequest {
        loss: true,
        ..EvaluationRequest::GRADIENT_ONLY
    };
    let evaluations = objective
        .evaluate(&vec![row; points.len()], &points, &draws, request)
        .unwrap();
    let losses: Vec<f64> = evaluations.iter().map(|e| e.loss_nats()).collect();
    most(&losses) - losses[0].max(losses[10])
}

/// The number of optima that ascents from each mode itself lead to.
fn optima_from_the_modes(model: &Planted, batch: &Batch, points: &[Point]) -> Vec<usize> {
    let dim = model.dim as usize;
    let schedule = PhaseSchedule::default_for_latent_dim(dim, 1e-4, 500);
    let mut objective = Objective::new(model, batch.x()).unwrap();
    let mut ends: Vec<Vec<Vec<f64>>> = vec![Vec::new(); points.len()];
    for k in 0..N_MODES as usize {
        let start = |point: &Point| {
            let mean = point.modes.get(k).unwrap_or(&point.modes[0]).clone();
            let log_std = std::iter::repeat_n((0.5 * STD).ln(), dim);
            SearchState::starting_at(mean.into_iter().chain(log_std).collect())
        };
        let mut states: Vec<SearchState> = points.iter().map(start).collect();
        let rows: Vec<usize> = (0..points.len()).collect();
        let key = SeedKey::root(73);
        schedule
            .run(
                &mut objective,
                &rows,
                &mut states,
                batch.ids(),
                key,
                &mut |_| (),
            )
            .unwrap();
        for (row, state) in states.into_iter().enumerate() {
            let is_new = ends[row].iter().all(|other| {
                fall_between(&mut objective, row, &state.params, other) > TOLERANCE_NATS
            });
            if is_new {
                ends[row].push(state.params);
            }
        }
    }
    ends.iter().map(Vec::len).collect()
}

/// The least divergence from the posterior of a mixture of four equal components at modes that do not overlap.
fn least_divergence(weights: &[f64]) -> f64 {
    let mut least = f64::INFINITY;
    for first in 0..=4_usize {
        for second in 0..=4 - first {
            let counts = [first, second, 4 - first - second];
            if counts
                .iter()
                .zip(0..)
                .any(|(&n, k)| n > 0 && k >= weights.len())
            {
                continue;
            }
            let terms = counts
                .iter()
                .zip(weights)
                .filter(|(n, _)| **n > 0)
                .map(|(&n, w)| {
                    let share = n as f64 / 4.0;
                    share * (share / w).ln()
                });
            least = least.min(terms.sum());
        }
    }
    least
}

/// Random starts find every optimum of the diagonal Gaussian.
fn check_census(dim: usize, separations: &[f64], n: usize, n_random: u32) {
    let (model, batch, points) = planted(dim, separations, n);
    let of_modes = optima_from_the_modes(&model, &batch, &points);
    let fit = searched(&DiagonalGaussian::new(dim as i64), &model, &batch, n_random);
    let found: Vec<usize> = fit
        .optima
        .iter()
        .map(|o| o.as_ref().unwrap().n_optima())
        .collect();
    let found_all: Vec<bool> = (0..points.len())
        .map(|i| {
            let census = fit.optima[i].as_ref().unwrap();
            census.n_optima() > of_modes[i]
                || census.n_optima() == of_modes[i] && are_the_modes(&points[i], census)
        })
        .collect();
    for &separation in separations {
        let own: Vec<usize> = (0..points.len())
            .filter(|&i| points[i].separation == separation)
            .collect();
        let all = own.iter().filter(|&&i| found_all[i]).count();
        // A wide Gaussian over several modes can be an optimum too.
        let more = own.iter().filter(|&&i| found[i] > of_modes[i]).count();
        let mean = own.iter().map(|&i| of_modes[i]).sum::<usize>() as f64 / own.len() as f64;
        println!(
            "D = {dim}, {separation} SD: {mean:.2} optima, all found on {all} of {}, more on {more}",
            own.len()
        );
    }
    let all = found_all.iter().filter(|all| **all).count();
    assert!(all * 100 >= 95 * points.len(), "{all} of {}", points.len());
}

/// Whether the optima are as far apart as the planted modes, where these do not overlap. If not, a wide Gaussian over
/// two modes is among them, and one mode is not.
fn are_the_modes(point: &Point, census: &OptimaCensus) -> bool {
    let worst = point.weights.iter().copied().fold(1.0, f64::min);
    let best = point.weights.iter().copied().fold(0.0, f64::max);
    let stds_ratio = census.apart_stds / point.separation;
    let nats = census.apart_nats - (best / worst).ln();
    point.separation < 6.0 || (0.8..1.1).contains(&stds_ratio) && nats.abs() < 0.1
}

#[test]
fn random_starts_find_all_planted_modes() {
    for dim in [2, 5] {
        check_census(dim, &[2.0, 3.0, 4.0, 6.0, 8.0], 2, 31);
    }
}

/// `cargo test --locked --workspace --test planted_modes -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes"]
fn random_starts_find_all_planted_modes_on_many_points() {
    for dim in [2, 5] {
        check_census(dim, &[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 10, 31);
    }
}

/// A mixture of four equal components has a part at every mode, up to what equal weights cannot show.
#[test]
fn a_mixture_covers_all_planted_modes() {
    for dim in [2, 5] {
        let (model, batch, points) = planted(dim, &[2.0, 4.0, 8.0], 2);
        let family = build_family(Family::GaussianMixture, dim as i64);
        let fit = searched(family.as_ref(), &model, &batch, 15);
        let params = fit.fitted.params.to_rows();
        let gaps = losses(family.as_ref(), &model, &batch, &params, 2048);
        let mut covered = 0;
        for (point, gap) in points.iter().zip(&gaps) {
            let least = least_divergence(&point.weights);
            let is_covered = *gap < least + 0.05;
            covered += usize::from(is_covered);
            if !is_covered {
                println!(
                    "D = {dim}, {} SD, {:?}: {gap:.3} nats, least {least:.3}",
                    point.separation, point.weights
                );
            }
        }
        println!("D = {dim}: {covered} of {}", points.len());
        assert!(
            covered * 100 >= 95 * points.len(),
            "{covered} of {}",
            points.len()
        );
    }
}

#[test]
fn a_point_without_finite_values_fails_and_leaves_the_others() {
    let (model, batch, _) = planted(2, &[6.0], 1);
    let broken = batch.x().copy();
    let _filled = broken.get(0).fill_(f64::NAN);
    let broken = Batch::new(batch.ids().to_vec(), broken);
    let family = build_family(Family::GaussianMixture, 2);
    let sound = searched(family.as_ref(), &model, &batch, 3);
    let fit = searched(family.as_ref(), &model, &broken, 3);
    let (stops, optima) = (&fit.fitted.stops, &fit.optima);
    assert!(
        matches!(stops[0], StopReason::NonFinite { .. }),
        "{:?}",
        stops[0]
    );
    let census = optima[0].as_ref().unwrap();
    assert_eq!(census.optimum_of_start, [None; 4]);
    assert_eq!(stops[1..], sound.fitted.stops[1..]);
    assert_eq!(optima[1..], sound.optima[1..]);
}
