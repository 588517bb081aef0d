//! Posteriors whose precision has a large condition number: the search ends at the optimum, and the bound on the
//! remaining distance holds.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod searches;

use gap_data::Batch;
use gap_infer::StopReason;
use gap_infer::free_form::{FreeFormFit, StartingPoint};
use gap_infer::{ClosedFormGaussianFamily, FullGaussian};
use gap_model::{ExactPosterior, LatentVariableModel, LinearGaussian, ModelError};
use gap_torch::checkpoint::Checkpoint;
use gap_torch::device::set_one_thread_per_operation;
use gap_torch::{NoiseStream, SeedKey, to_f64_values};
use nalgebra::{DMatrix, DVector};
use searches::{CPU, encoder, sampled, search, searched, short_of_optimum};
use tch::{Device, Kind, Tensor};

const TOLERANCE_NATS: f64 = 0.01;

/// `a` of the models in [`Warped`].
const WARP: f64 = 0.2;

/// What a set of searches came to.
#[derive(Default)]
struct Tally {
    n: u64,
    converged: u64,
    covered: u64,
    worst_nats: f64,
    worst_converged_nats: f64,
    steps: f64,
    gradients: f64,
}

impl Tally {
    fn add(&mut self, fit: &FreeFormFit, short: &[f64]) {
        for (stop, &short) in fit.fitted.stops.iter().zip(short) {
            let (steps, remaining) = match *stop {
                StopReason::Converged { steps, remaining } => {
                    self.converged += 1;
                    self.worst_converged_nats = self.worst_converged_nats.max(short);
                    (steps, remaining)
                }
                StopReason::BudgetSpent { steps, remaining } => (steps, remaining),
                _ => panic!("{stop:?}"),
            };
            self.n += 1;
            self.steps += f64::from(steps);
            self.worst_nats = self.worst_nats.max(short);
            self.covered += u64::from(remaining.upper_bound_nats() >= short);
        }
        let costs = fit.fitted.costs.iter();
        self.gradients += costs.map(|cost| cost.joint_gradients as f64).sum::<f64>();
    }

    /// Prints the tally, and checks that the bound covers 95% of points, by a binomial test at the level 0.01, and
    /// that no converged point is farther from its optimum than the tolerance.
    fn check(&self, what: &str) {
        let n = self.n as f64;
        println!(
            "{what}: converged {} of {}, covered {}, worst {:.1e}, worst converged {:.1e}, steps {:.0}, gradients {:.0}",
            self.converged,
            self.n,
            self.covered,
            self.worst_nats,
            self.worst_converged_nats,
            self.steps / n,
            self.gradients / n
        );
        let least_covered = 0.95 * n - 2.33 * (0.95 * 0.05 * n).sqrt();
        assert!(
            self.covered as f64 >= least_covered,
            "{what}: {} covered",
            self.covered
        );
        assert!(self.worst_converged_nats < TOLERANCE_NATS, "{what}");
    }
}

/// Checks that 99% of the points of all cells converged.
fn check_convergence(tallies: &[Tally]) {
    let n: u64 = tallies.iter().map(|tally| tally.n).sum();
    let converged: u64 = tallies.iter().map(|tally| tally.converged).sum();
    assert!(converged * 100 >= 99 * n, "{converged} of {n} converged");
}

/// A latent dimension with the number of models and of points of each.
struct Cell {
    dim: i64,
    n_models: u64,
    n_points: u64,
}

/// As many points as an ordinary test has time for.
const SHORT_CELLS: [Cell; 5] = [
    Cell {
        dim: 2,
        n_models: 3,
        n_points: 20,
    },
    Cell {
        dim: 13,
        n_models: 3,
        n_points: 20,
    },
    Cell {
        dim: 20,
        n_models: 3,
        n_points: 20,
    },
    Cell {
        dim: 50,
        n_models: 2,
        n_points: 10,
    },
    Cell {
        dim: 200,
        n_models: 1,
        n_points: 5,
    },
];

const FULL_CELLS: [Cell; 5] = [
    Cell {
        dim: 2,
        n_models: 3,
        n_points: 50,
    },
    Cell {
        dim: 13,
        n_models: 3,
        n_points: 50,
    },
    Cell {
        dim: 20,
        n_models: 3,
        n_points: 50,
    },
    Cell {
        dim: 50,
        n_models: 3,
        n_points: 50,
    },
    Cell {
        dim: 200,
        n_models: 3,
        n_points: 50,
    },
];

const CONDITION_NUMBERS: [f64; 4] = [1.0, 1e2, 1e4, 1e6];

fn with_condition_number(dim: i64, condition: f64, seed: u64) -> LinearGaussian {
    let sizes = [dim, 2 * dim];
    LinearGaussian::with_condition_number(sizes, 1.0, condition, SeedKey::root(seed), CPU)
}

/// Searches the optima of a diagonal Gaussian from the prior and from the output of an encoder that was not
/// fitted, which is far from most of them.
fn search_from_both_starts(model: &dyn LatentVariableModel, batch: &Batch) -> FreeFormFit {
    let encoder = encoder(model);
    let starts = vec![StartingPoint::Prior, StartingPoint::Encoder(&encoder)];
    search(model, batch, starts, TOLERANCE_NATS)
}

fn check_linear_gaussian_diagonal(cells: &[Cell]) {
    set_one_thread_per_operation(); // Tests already run in parallel.
    let mut tallies = Vec::new();
    for Cell {
        dim,
        n_models,
        n_points,
    } in cells
    {
        for condition in CONDITION_NUMBERS {
            let mut tally = Tally::default();
            for seed in 0..*n_models {
                let model = with_condition_number(*dim, condition, seed);
                let batch = sampled(&model, *n_points);
                let fit = search_from_both_starts(&model, &batch);
                tally.add(&fit, &short_of_optimum(&model, &batch, &fit.fitted.params));
            }
            tally.check(&format!("diagonal, D = {dim:3}, κ = {condition:7}"));
            tallies.push(tally);
        }
    }
    check_convergence(&tallies);
}

fn check_linear_gaussian_full(cells: &[Cell]) {
    set_one_thread_per_operation();
    let mut tallies = Vec::new();
    for Cell {
        dim,
        n_models,
        n_points,
    } in cells
    {
        for condition in CONDITION_NUMBERS {
            let mut tally = Tally::default();
            for seed in 0..*n_models {
                let model = with_condition_number(*dim, condition, seed);
                let batch = sampled(&model, *n_points);
                let family = FullGaussian::new(*dim);
                let fit = searched(&family, &model, &batch, TOLERANCE_NATS);
                let (mean, covariance) = model.posterior_moments(batch.x()).unwrap();
                let short = family.kl_to_gaussian(&fit.fitted.params, &mean, &covariance);
                tally.add(&fit, &to_f64_values(&short));
            }
            tally.check(&format!("full, D = {dim:3}, κ = {condition:7}"));
            tallies.push(tally);
        }
    }
    check_convergence(&tallies);
}

fn check_warped(cells: &[Cell]) {
    set_one_thread_per_operation();
    let mut tallies = Vec::new();
    for Cell {
        dim,
        n_models,
        n_points,
    } in cells
    {
        for condition in CONDITION_NUMBERS {
            let mut tally = Tally::default();
            for seed in 0..*n_models {
                let model = Warped::new(*dim, condition, seed);
                let batch = sampled(&model, *n_points);
                let fit = search_from_both_starts(&model, &batch);
                let x = to_f64_values(batch.x());
                let rows = fit.fitted.params.to_rows();
                let short = x.chunks_exact(2 * *dim as usize).zip(&rows);
                let short = short.map(|(x, row)| ExactLoss::new(&model, x).short_of_optimum(row));
                tally.add(&fit, &short.collect::<Vec<f64>>());
            }
            tally.check(&format!("warped, D = {dim:3}, κ = {condition:7}"));
            tallies.push(tally);
        }
    }
    check_convergence(&tallies);
}

#[test]
fn diagonal_gaussians_reach_linear_gaussian_optima_at_any_condition_number() {
    check_linear_gaussian_diagonal(&SHORT_CELLS);
}

#[test]
fn full_gaussians_reach_linear_gaussian_posteriors_at_any_condition_number() {
    check_linear_gaussian_full(&SHORT_CELLS[..4]);
}

#[test]
fn optima_of_warped_posteriors_are_reached_and_bounded() {
    check_warped(&SHORT_CELLS[..3]);
}

#[test]
#[ignore = "takes minutes"]
fn diagonal_gaussians_reach_linear_gaussian_optima_on_the_full_grid() {
    check_linear_gaussian_diagonal(&FULL_CELLS);
}

#[test]
#[ignore = "takes minutes"]
fn full_gaussians_reach_linear_gaussian_posteriors_on_the_full_grid() {
    check_linear_gaussian_full(&FULL_CELLS[..4]);
}

#[test]
#[ignore = "takes minutes"]
fn optima_of_warped_posteriors_are_reached_and_bounded_on_the_full_grid() {
    check_warped(&FULL_CELLS);
}

/// A linear-Gaussian model seen through a warp of each latent variable: `x = W t(z) + b + ε` with
/// `t(z) = z + a tanh z`. Its posteriors are not Gaussian, and their curvature is as badly conditioned as that of
/// the linear model.
struct Warped {
    weight: Tensor, // [X, D]
    bias: Tensor,   // [X]
    warp: f64,
}

impl Warped {
    fn new(dim: i64, condition: f64, seed: u64) -> Self {
        let mut checkpoint = Checkpoint::new();
        with_condition_number(dim, condition, seed).store(&mut checkpoint);
        let tensor = |name: &str| checkpoint.get(name, CPU).unwrap();
        Self {
            weight: tensor("linear_gaussian.weight"),
            bias: tensor("linear_gaussian.bias"),
            warp: WARP,
        }
    }

    fn mean(&self, z: &Tensor) -> Tensor {
        (z + z.tanh() * self.warp).matmul(&self.weight.tr()) + &self.bias
    }
}

impl LatentVariableModel for Warped {
    fn latent_dim(&self) -> i64 {
        self.weight.size()[1]
    }
    fn observed_dim(&self) -> i64 {
        self.weight.size()[0]
    }
    fn device(&self) -> Device {
        CPU
    }
    fn kind(&self) -> Kind {
        Kind::Float
    }
    fn log_joint(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        let square = |t: &Tensor| t.square().sum_dim_intlist(-1, false, Kind::Double);
        Ok((square(&(x - self.mean(z))) + square(z)) * -0.5)
    }
    fn score(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        let slope = (z.tanh().square() - 1.0) * -self.warp + 1.0;
        Ok((x - self.mean(z)).matmul(&self.weight) * slope - z)
    }
    fn sample_joint(&self, noise: &mut NoiseStream) -> Result<(Tensor, Tensor), ModelError> {
        let z = noise.normal(1, self.latent_dim()).squeeze_dim(0);
        let e = noise.normal(1, self.observed_dim()).squeeze_dim(0);
        Ok((self.mean(&z) + e, z))
    }
    fn check_support(&self, _: &Tensor) -> Result<(), ModelError> {
        Ok(())
    }
}

/// The exact `−L` (up to a constant) of one datapoint of a [`Warped`] model, in `f64`: under a diagonal Gaussian
/// its expectations are integrals over one dimension each.
struct ExactLoss {
    weight: DMatrix<f64>,
    gram: DMatrix<f64>,
    residual: DVector<f64>, // x − b
    warp: f64,
}

impl ExactLoss {
    fn new(model: &Warped, x: &[f64]) -> Self {
        let [n, dim] = [model.observed_dim(), model.latent_dim()].map(|n| n as usize);
        let weight = DMatrix::from_row_slice(n, dim, &to_f64_values(&model.weight));
        let bias = to_f64_values(&model.bias);
        Self {
            gram: weight.tr_mul(&weight),
            residual: DVector::from_fn(n, |i, _| x[i] - bias[i]),
            weight,
            warp: model.warp,
        }
    }

    /// The part of the loss of one latent variable with mean `mu` and standard deviation `exp(log_std)`.
    fn coordinate(&self, i: usize, mu: f64, log_std: f64) -> Coordinate {
        let sigma = log_std.exp();
        // The trapezoidal rule converges exponentially for such integrands.
        let mut moments = [0.0; 5]; // 1, t, t², t', ε σ t'
        let mut products = [0.0; 2]; // t t', t ε σ t'
        for node in -80..=80 {
            let e = 0.1 * f64::from(node);
            let weight = (-0.5 * e * e).exp();
            let tanh = (mu + sigma * e).tanh();
            let t = mu + sigma * e + self.warp * tanh;
            let slope = 1.0 + self.warp * (1.0 - tanh * tanh);
            let values = [1.0, t, t * t, slope, sigma * e * slope];
            for (sum, value) in moments.iter_mut().zip(values) {
                *sum += weight * value;
            }
            products[0] += weight * t * slope;
            products[1] += weight * t * sigma * e * slope;
        }
        let [total, t, tt, slope, e_slope] = moments;
        let [t, tt, slope, e_slope] = [t, tt, slope, e_slope].map(|m| m / total);
        let products = products.map(|m| m / total);
        let own = 0.5 * self.gram[(i, i)];
        Coordinate {
            mean: t,
            mean_slopes: [slope, e_slope],
            loss: own * (tt - t * t) + 0.5 * (mu * mu + sigma * sigma) - log_std,
            gradient: [
                own * 2.0 * (products[0] - t * slope) + mu,
                own * 2.0 * (products[1] - t * e_slope) + sigma * sigma - 1.0,
            ],
        }
    }

    fn coordinates(&self, params: &DVector<f64>) -> Vec<Coordinate> {
        let dim = params.len() / 2;
        (0..dim)
            .map(|i| self.coordinate(i, params[i], params[dim + i]))
            .collect()
    }

    /// `x − b − W E t(z)`.
    fn rest(&self, coordinates: &[Coordinate]) -> DVector<f64> {
        let means = DVector::from_iterator(coordinates.len(), coordinates.iter().map(|c| c.mean));
        &self.residual - &self.weight * means
    }

    fn loss(&self, params: &DVector<f64>) -> f64 {
        let coordinates = self.coordinates(params);
        let own: f64 = coordinates.iter().map(|c| c.loss).sum();
        own + 0.5 * self.rest(&coordinates).norm_squared()
    }

    /// The gradient and the Hessian of the loss in `(μ / σ, log σ)`, where `σ` is that of `params`. Those parts of the
    /// Hessian that belong to one latent variable are differences of the gradient.
    fn derivatives(&self, params: &DVector<f64>) -> (DVector<f64>, DMatrix<f64>) {
        let dim = params.len() / 2;
        let coordinates = self.coordinates(params);
        let pull = -self.weight.tr_mul(&self.rest(&coordinates));
        let scale = |i: usize| if i < dim { params[dim + i].exp() } else { 1.0 };
        let slope = |i: usize| scale(i) * coordinates[i % dim].mean_slopes[i / dim];
        let gradient = DVector::from_fn(2 * dim, |i, _| {
            scale(i) * coordinates[i % dim].gradient[i / dim] + pull[i % dim] * slope(i)
        });
        let mut hessian = DMatrix::from_fn(2 * dim, 2 * dim, |i, j| {
            slope(i) * self.gram[(i % dim, j % dim)] * slope(j)
        });
        for i in 0..dim {
            for b in 0..2 {
                let side = |h: f64| {
                    let mut at = [params[i], params[dim + i]];
                    at[b] += h * scale(i + b * dim);
                    let moved = self.coordinate(i, at[0], at[1]);
                    [0, 1].map(|a| moved.gradient[a] + pull[i] * moved.mean_slopes[a])
                };
                let (above, below) = (side(1e-4), side(-1e-4));
                for a in 0..2 {
                    hessian[(i + a * dim, i + b * dim)] +=
                        scale(i + a * dim) * (above[a] - below[a]) / 2e-4;
                }
            }
        }
        (gradient, (&hessian + hessian.transpose()) * 0.5)
    }

    /// How far `params` are above the optimum nearby: damped Newton steps in whitened coordinates.
    fn short_of_optimum(&self, params: &[f64]) -> f64 {
        let dim = params.len() / 2;
        let mut at = DVector::from_column_slice(params);
        let start = self.loss(&at);
        let (mut damping, mut best) = (1e-3, start);
        for _ in 0..100 {
            let (gradient, hessian) = self.derivatives(&at);
            let mut gained = false;
            while damping < 1e8 {
                let damped = &hessian + DMatrix::identity(2 * dim, 2 * dim) * damping;
                if let Some(factor) = damped.cholesky() {
                    let mut step = factor.solve(&gradient);
                    for i in 0..dim {
                        step[i] *= at[dim + i].exp();
                    }
                    let trial = &at - step;
                    let value = self.loss(&trial);
                    if value < best {
                        gained = best - value > 1e-9;
                        (at, best) = (trial, value);
                        damping = (0.1 * damping).max(1e-12);
                        break;
                    }
                }
                damping *= 10.0;
            }
            if !gained {
                break;
            }
        }
        start - best
    }
}

/// The part of an [`ExactLoss`] of one latent variable.
struct Coordinate {
    /// `E t(z)`, and its derivatives in `μ` and `log σ`.
    mean: f64,
    mean_slopes: [f64; 2],
    /// The variance of `t(z)` times half its element of the Gram matrix, and the negative log prior and entropy.
    loss: f64,
    gradient: [f64; 2],
}
