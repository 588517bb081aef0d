//! Where an annealing path begins: a diagonal Gaussian for each datapoint.

use gap_infer::{DiagonalGaussian, VariationalParams};
use std::f64::consts::TAU;

/// `N(mean, diag std²)` of each datapoint. Chains move in `w = (z − mean) / std`, where it is the
/// standard normal.
#[derive(Clone, Debug)]
pub struct Anchor {
    latent_dim: usize,
    mean: Vec<f32>,         // [B, D]
    std: Vec<f32>,          // [B, D]
    log_std_sums: Vec<f64>, // [B]
}

impl Anchor {
    /// The standard normal prior, for `n_points` datapoints.
    pub fn prior(n_points: usize, latent_dim: usize) -> Self {
        Self {
            latent_dim,
            mean: vec![0.0; n_points * latent_dim],
            std: vec![1.0; n_points * latent_dim],
            log_std_sums: vec![0.0; n_points],
        }
    }

    /// A fitted `q` of each datapoint.
    pub fn of(family: DiagonalGaussian, params: &VariationalParams) -> Self {
        let (mean, log_std) = family.mean_and_log_std(params);
        let rows = |tensor| VariationalParams(tensor).to_rows();
        let (mean, log_std) = (rows(mean.copy()), rows(log_std.copy()));
        let floats = |rows: &[Vec<f64>], f: fn(f64) -> f64| -> Vec<f32> {
            rows.iter().flatten().map(|&v| f(v) as f32).collect()
        };
        let std = floats(&log_std, f64::exp);
        // Of the numbers that are used, not of those that they were rounded from.
        let log_std_sum = |std: &[f32]| std.iter().map(|&s| f64::from(s).ln()).sum();
        let latent_dim = log_std.first().map_or(1, Vec::len);
        Self {
            latent_dim,
            mean: floats(&mean, |v| v),
            log_std_sums: std.chunks_exact(latent_dim).map(log_std_sum).collect(),
            std,
        }
    }

    /// `B`.
    pub const fn n_points(&self) -> usize {
        self.log_std_sums.len()
    }

    /// `D`.
    pub const fn latent_dim(&self) -> usize {
        self.latent_dim
    }

    fn of_point(&self, point: usize) -> (&[f32], &[f32]) {
        let own = point * self.latent_dim..(point + 1) * self.latent_dim;
        (&self.mean[own.clone()], &self.std[own])
    }

    /// `z = mean + std ∘ w` of a datapoint.
    pub fn place(&self, point: usize, w: &[f32], z: &mut [f32]) {
        let (mean, std) = self.of_point(point);
        for i in 0..z.len() {
            z[i] = std[i].mul_add(w[i], mean[i]);
        }
    }

    /// `w` of a place `z`.
    pub fn whiten(&self, point: usize, z: &[f32], w: &mut [f32]) {
        let (mean, std) = self.of_point(point);
        for i in 0..w.len() {
            w[i] = (z[i] - mean[i]) / std[i];
        }
    }

    /// `std ∘ score`, the gradient in `w`, in place.
    pub fn pull_back(&self, point: usize, score: &mut [f32]) {
        let (_, std) = self.of_point(point);
        for (score, std) in score.iter_mut().zip(std) {
            *score *= std;
        }
    }

    /// `log N(z; mean, diag std²)` where `w` has this sum of squares, nats.
    pub fn log_density(&self, point: usize, squares: f64) -> f64 {
        -0.5 * (squares + self.latent_dim as f64 * TAU.ln()) - self.log_std_sums[point]
    }
}

/// `|w|²`, summed in `f64`.
pub fn sum_of_squares(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v).powi(2)).sum()
}
