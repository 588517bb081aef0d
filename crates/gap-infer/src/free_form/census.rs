//! The census of optima: to how many optima of the ELBO the ascents of a datapoint led, how far apart these
//! are, and which start led to which.
//!
//! Two endpoints count as the same optimum unless they are far apart and something lies between them. Far apart
//! means that both the means and the whole distributions differ: by the first two moments, which draws of any
//! family give. Something lies between two Gaussians if the ELBO on the way from one to the other falls below
//! both by more than the tolerance; an ascent that has only stopped early on a flat ridge does not make a
//! second optimum. On the way between two flows nothing can be said, since the same `q` has many parameters;
//! there the distance itself must be larger.
//!
//! An optimum that no start led to is not in the census.

use crate::ascent::{
    EvaluationRequest, FamilyKind, NoiseDraws, Objective, SearchState, whitened_sobol_normals,
};
use crate::family::VariationalFamily;
use crate::inference::InferError;
use gap_torch::SeedKey;
use nalgebra::{DMatrix, DVector};
use std::time::Instant;

/// The optima that one datapoint's starts led to.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimaCensus {
    /// For each start, the number of the optimum that its ascent led to; optimum 0 has the highest ELBO. `None`
    /// if the ascent failed.
    pub optimum_of_start: Vec<Option<usize>>,
    /// For each optimum, the start with the highest ELBO of those that led to it.
    best_start: Vec<usize>,
    /// The largest distance between the means of two optima, in standard deviations of the two `q`s; 0 if there
    /// is only one.
    pub apart_stds: f64,
    /// How far the ELBO of the worst optimum is below that of the best, nats; 0 if there is only one.
    pub apart_nats: f64,
}

impl OptimaCensus {
    /// The number of optima; 0 if all ascents failed.
    pub fn n_optima(&self) -> usize {
        self.best_start.len()
    }

    /// For each optimum, the start with the highest ELBO of those that led to it.
    pub fn starts_by_optimum(&self) -> &[usize] {
        &self.best_start
    }

    /// The census of a datapoint with one optimum, which every start led to that did not fail.
    pub(super) fn of_one_optimum(of_start: &[Option<usize>]) -> Self {
        Self {
            optimum_of_start: of_start.iter().map(|of| of.map(|_| 0)).collect(),
            best_start: of_start
                .iter()
                .position(Option::is_some)
                .into_iter()
                .collect(),
            apart_stds: 0.0,
            apart_nats: 0.0,
        }
    }

    /// The same optima as those of starts of which each led to one of the starts of this census.
    pub(super) fn of_starts(&self, led_to: &[Option<usize>]) -> Self {
        let numbers = led_to.iter().map(|&start| self.optimum_of_start[start?]);
        Self {
            optimum_of_start: numbers.collect(),
            ..self.clone()
        }
    }
}

/// The fewest standard deviations between the means of two optima.
const MIN_STDS_APART: f64 = 0.5;
/// The least divergence between two optima, nats, of Gaussians with their moments.
const MIN_DIVERGENCE_NATS: f64 = 0.1;
/// The same for families in which nothing is known of the way between two `q`s.
const MIN_DIVERGENCE_WITHOUT_A_WAY_NATS: f64 = 0.5;
/// The points between two Gaussians at which the ELBO is computed.
const N_POINTS_BETWEEN: usize = 7;
/// The number of draws of each evaluation and of the moments.
const N_DRAWS: usize = 256;

/// The mean and the covariance of a `q`.
struct Moments {
    mean: DVector<f64>,
    covariance: DMatrix<f64>,
}

impl Moments {
    /// The moments of the `q` with the parameters `params` on `noise`, `[S, N]` with `S` of [`N_DRAWS`].
    fn of(family: &dyn VariationalFamily, params: &[f64], noise: &[f64]) -> Self {
        let (dim, n) = (family.latent_dim() as usize, N_DRAWS);
        let (mut z, mut log_q) = (vec![0.0; n * dim], vec![0.0; n]);
        family.transform_row(params, noise, &mut z, &mut log_q);
        let z = DMatrix::from_column_slice(dim, n, &z);
        let mean = z.column_mean();
        let off = DMatrix::from_fn(dim, n, |i, s| z[(i, s)] - mean[i]);
        Self {
            covariance: &off * off.transpose() / n as f64,
            mean,
        }
    }

    /// How many standard deviations the means are apart, and half the sum of both KL divergences between
    /// Gaussians with these moments, nats. Infinite if a covariance is singular.
    fn distances(&self, other: &Self) -> (f64, f64) {
        let dim = self.mean.len();
        let off = &self.mean - &other.mean;
        let both = (&self.covariance + &other.covariance) * 0.5;
        let inverses = [&self.covariance, &other.covariance, &both]
            .map(|covariance| Some(covariance.clone().cholesky()?.inverse()));
        let [Some(own), Some(of_other), Some(of_both)] = inverses else {
            return (f64::INFINITY, f64::INFINITY);
        };
        let stds = off.dot(&(&of_both * &off)).sqrt();
        let traces = (&of_other * &self.covariance).trace() + (&own * &other.covariance).trace();
        let of_means = off.dot(&((&own + &of_other) * &off));
        (stds, 0.25 * (traces - 2.0 * dim as f64 + of_means))
    }
}

/// Counts the optima among the ends of each of `rows`. `ends` has the states of all datapoints for each start,
/// and `losses` their losses on common draws, for each of `rows` and each start. The cost is added to the
/// states of the first start.
///
/// # Errors
///
/// [`InferError::Model`] if sizes do not fit.
pub fn count_optima(
    objective: &mut Objective,
    family: &dyn VariationalFamily,
    ends: &mut [Vec<SearchState>],
    (rows, losses): (&[usize], &[Vec<f64>]),
    tolerance_nats: f64,
    key: SeedKey,
) -> Result<Vec<OptimaCensus>, InferError> {
    let dim = objective.noise_dim();
    let draws = NoiseDraws::whitened(key, N_DRAWS, objective.draw_space());
    let noise: Vec<f64> = whitened_sobol_normals(key, N_DRAWS, dim);
    let mut all = Vec::with_capacity(rows.len());
    for (&row, losses) in rows.iter().zip(losses) {
        let clock = Instant::now();
        let mut order: Vec<usize> = (0..ends.len())
            .filter(|&start| ends[start][row].failed_at.is_none() && losses[start].is_finite())
            .collect();
        order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        let mut optima: Vec<(usize, Moments)> = Vec::new();
        let mut census = OptimaCensus {
            optimum_of_start: vec![None; ends.len()],
            best_start: Vec::new(),
            apart_stds: 0.0,
            apart_nats: 0.0,
        };
        let mut n_evaluations = 0;
        for start in order {
            let own = Moments::of(family, &ends[start][row].params, &noise);
            let mut same = None;
            let mut farthest = 0.0_f64;
            for (number, (representative, moments)) in optima.iter().enumerate() {
                let (stds, divergence) = own.distances(moments);
                let least = match objective.family_kind() {
                    FamilyKind::Any(_) => MIN_DIVERGENCE_WITHOUT_A_WAY_NATS,
                    FamilyKind::Diagonal | FamilyKind::Full(_) => MIN_DIVERGENCE_NATS,
                };
                farthest = farthest.max(stds);
                let mut is_other = stds > MIN_STDS_APART && divergence > least;
                if is_other && !matches!(objective.family_kind(), FamilyKind::Any(_)) {
                    let ends = [*representative, start].map(|start| &ends[start][row].params[..]);
                    n_evaluations += N_POINTS_BETWEEN + 2;
                    let fall = fall_between(objective, row, ends, &draws)?;
                    is_other = fall > tolerance_nats;
                }
                if !is_other {
                    same = Some(number);
                    break;
                }
            }
            let number = same.unwrap_or(optima.len());
            census.optimum_of_start[start] = Some(number);
            if same.is_none() {
                census.apart_stds = census.apart_stds.max(farthest);
                if let Some((best, _)) = optima.first() {
                    census.apart_nats = losses[start] - losses[*best];
                }
                census.best_start.push(start);
                optima.push((start, own));
            }
        }
        let charged = &mut ends[0][row];
        charged.seconds += clock.elapsed().as_secs_f64();
        charged.joint_gradients += (n_evaluations * N_DRAWS) as u64;
        all.push(census);
    }
    Ok(all)
}

/// How far the ELBO falls below both ends on the straight way between their parameters, nats; 0 if it does not.
fn fall_between(
    objective: &mut Objective,
    row: usize,
    [from, to]: [&[f64]; 2],
    draws: &NoiseDraws,
) -> Result<f64, InferError> {
    let steps = N_POINTS_BETWEEN + 1;
    let at = |step: usize| -> Vec<f64> {
        let share = step as f64 / steps as f64;
        let pairs = from.iter().zip(to);
        pairs.map(|(a, b)| a + share * (b - a)).collect()
    };
    let points: Vec<Vec<f64>> = (0..=steps).map(at).collect();
    let points: Vec<&[f64]> = points.iter().map(Vec::as_slice).collect();
    let request = EvaluationRequest {
        loss: true,
        ..EvaluationRequest::GRADIENT_ONLY
    };
    let evaluations = objective.evaluate(&vec![row; points.len()], &points, draws, request)?;
    let losses: Vec<f64> = evaluations.iter().map(|e| e.loss_nats()).collect();
    let highest = losses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Ok(highest - losses[0].max(losses[steps]))
}
