//! `q(z) = N(μ, diag σ²)`, with `λ = (μ, log σ)`: the family of the mean-field VAE.

use gap_torch::mean_over_samples;

use super::gaussians::DiagonalGaussian;
use super::number::FloatNumber;
use super::variational::{
    ClosedFormGaussianFamily, Draws, EvaluableDensityFamily, RowTransform, VariationalFamily,
    VariationalParams,
};
use std::f64::consts::{E, TAU};
use tch::{Kind, Tensor};

impl DiagonalGaussian {
    /// `μ` and `log σ`, each `[B, D]`.
    pub fn mean_and_log_std(&self, params: &VariationalParams) -> (Tensor, Tensor) {
        let mean = params.0.narrow(1, 0, self.latent_dim);
        (mean, params.0.narrow(1, self.latent_dim, self.latent_dim))
    }
}

/// Draws and gradients without tensors, on rows in plain slices: for steps that use the kernels.
impl DiagonalGaussian {
    /// Computes `σ` (`[B, D]`) and `z` (`[S, B, D]`) from the rows `params` (`[B, 2D]`) and `noise`
    /// (`[S, B, D]`).
    pub fn transform_rows<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &[T],
        std: &mut Vec<T>,
        z: &mut Vec<T>,
    ) {
        std.resize(params.len() / 2, T::default());
        z.resize(noise.len(), T::default());
        // Compiled separately for 1 and 2 dimensions, where the overhead of a loop would exceed its work.
        match self.latent_dim as usize {
            1 => transform(1, params, noise, std, z),
            2 => transform(2, params, noise, std, z),
            dim => transform(dim, params, noise, std, z),
        }
    }

    /// Writes `scale` times the gradient of [`VariationalFamily::pull_back`] for each row: `[B, 2D]`.
    pub fn pull_back_rows<T: FloatNumber>(
        &self,
        std: &[T],
        noise: &[T],
        score: &[T],
        scale: T,
        gradient: &mut [T],
    ) {
        match self.latent_dim as usize {
            1 => pull_back(1, std, noise, score, scale, gradient),
            2 => pull_back(2, std, noise, score, scale, gradient),
            dim => pull_back(dim, std, noise, score, scale, gradient),
        }
    }
}

#[inline(always)]
fn transform<T: FloatNumber>(dim: usize, params: &[T], noise: &[T], std: &mut [T], z: &mut [T]) {
    let rows = std.chunks_exact_mut(dim).zip(params.chunks_exact(2 * dim));
    for (std, params) in rows {
        std.copy_from_slice(&params[dim..]);
    }
    T::exponentials(std);
    let samples = z.chunks_exact_mut(std.len());
    for (z, noise) in samples.zip(noise.chunks_exact(std.len())) {
        let draws = z.chunks_exact_mut(dim).zip(noise.chunks_exact(dim));
        let rows = params.chunks_exact(2 * dim).zip(std.chunks_exact(dim));
        for ((z, noise), (params, std)) in draws.zip(rows) {
            for i in 0..dim {
                z[i] = std[i] * noise[i] + params[i];
            }
        }
    }
}

#[inline(always)]
fn pull_back<T: FloatNumber>(
    dim: usize,
    std: &[T],
    noise: &[T],
    score: &[T],
    scale: T,
    gradient: &mut [T],
) {
    let number = |n: usize| T::from_f64(n as f64);
    let draw_scale = scale * number(std.len()) / number(noise.len()); // scale / S
    gradient.fill(T::default());
    let samples = noise.chunks_exact(std.len());
    for (noise, score) in samples.zip(score.chunks_exact(std.len())) {
        let draws = noise.chunks_exact(dim).zip(score.chunks_exact(dim));
        for (gradient, (noise, score)) in gradient.chunks_exact_mut(2 * dim).zip(draws) {
            let (for_mean, for_log_std) = gradient.split_at_mut(dim);
            for i in 0..dim {
                for_mean[i] += score[i];
                for_log_std[i] += score[i] * noise[i];
            }
        }
    }
    let rows = gradient.chunks_exact_mut(2 * dim);
    for (gradient, std) in rows.zip(std.chunks_exact(dim)) {
        let (for_mean, for_log_std) = gradient.split_at_mut(dim);
        for i in 0..dim {
            for_mean[i] *= draw_scale;
            for_log_std[i] = for_log_std[i] * draw_scale * std[i] + scale;
        }
    }
}

fn sum_last_axis(tensor: &Tensor) -> Tensor {
    tensor.sum_dim_intlist([-1_i64].as_slice(), false, Kind::Double)
}

impl<T: FloatNumber> RowTransform<T> for DiagonalGaussian {
    fn transform_row(&self, params: &[T], noise: &[T], z: &mut [T], log_q: &mut [f64]) {
        let dim = self.latent_dim as usize;
        let (mut std, mut own) = (Vec::new(), Vec::new());
        self.transform_rows(params, noise, &mut std, &mut own);
        z.copy_from_slice(&own);
        let log_std: f64 = params[dim..].iter().map(|&r| r.to_f64()).sum();
        for (log_q, noise) in log_q.iter_mut().zip(noise.chunks_exact(dim)) {
            let squares: f64 = noise.iter().map(|&e| e.to_f64().powi(2)).sum();
            *log_q = -0.5 * squares - log_std - 0.5 * dim as f64 * TAU.ln();
        }
    }

    fn pull_back_row(&self, params: &[T], noise: &[T], score: &[T], gradient: &mut [T]) {
        let mut std = params[self.latent_dim as usize..].to_vec();
        T::exponentials(&mut std);
        self.pull_back_rows(&std, noise, score, T::from_f64(1.0), gradient);
    }
}

impl VariationalFamily for DiagonalGaussian {
    fn latent_dim(&self) -> i64 {
        self.latent_dim
    }

    fn param_dim(&self) -> i64 {
        2 * self.latent_dim
    }

    fn transform(&self, params: &VariationalParams, noise: &Tensor) -> Draws {
        let (mean, log_std) = self.mean_and_log_std(params);
        let noise = noise.to_kind(log_std.kind());
        let z = log_std.exp() * &noise + mean;
        let log_q = sum_last_axis(&noise.square()) * -0.5
            - sum_last_axis(&log_std)
            - 0.5 * self.latent_dim as f64 * TAU.ln();
        Draws { z, log_q }
    }

    fn as_diagonal_gaussian(&self) -> Option<DiagonalGaussian> {
        Some(*self)
    }

    fn evaluable_density(&self) -> Option<&dyn EvaluableDensityFamily> {
        Some(self)
    }

    fn closed_form_gaussian(&self) -> Option<&dyn ClosedFormGaussianFamily> {
        Some(self)
    }

    /// `∇_μ L = E[s]` and `∇_{log σ} L = E[s ∘ ε] ∘ σ + 1`, where the 1 comes from the entropy.
    fn pull_back(&self, params: &VariationalParams, noise: &Tensor, score: &Tensor) -> Tensor {
        let (_, log_std) = self.mean_and_log_std(params);
        let for_mean = mean_over_samples(score);
        let for_log_std = mean_over_samples(&(score * noise)) * log_std.exp() + 1.0;
        Tensor::cat(&[for_mean, for_log_std], 1)
    }
}

impl EvaluableDensityFamily for DiagonalGaussian {
    fn log_prob(&self, params: &VariationalParams, z: &Tensor) -> Tensor {
        let (mean, log_std) = self.mean_and_log_std(params);
        let noise = (z - mean) / log_std.exp();
        sum_last_axis(&noise.square()) * -0.5
            - sum_last_axis(&log_std)
            - 0.5 * self.latent_dim as f64 * TAU.ln()
    }

    /// `∇_z log q(z) = −ε / σ`, `∂z/∂μ = 1` and `∂z/∂log σ = σ ε`.
    fn weighted_path_gradient(
        &self,
        params: &VariationalParams,
        noise: &Tensor,
        score: &Tensor,
        weights: &Tensor,
    ) -> Tensor {
        let (_, log_std) = self.mean_and_log_std(params);
        let std = log_std.exp();
        let pull = (score + noise / &std) * weights.unsqueeze(-1); // [S, B, D]
        let over_draws =
            |tensor: &Tensor| tensor.sum_dim_intlist([0_i64].as_slice(), false, tensor.kind());
        let for_log_std = over_draws(&(&pull * noise)) * std;
        Tensor::cat(&[over_draws(&pull), for_log_std], 1)
    }
}

impl ClosedFormGaussianFamily for DiagonalGaussian {
    /// The entropy, differentiable in `params` by autograd.
    fn entropy(&self, params: &VariationalParams) -> Tensor {
        let (_, log_std) = self.mean_and_log_std(params);
        sum_last_axis(&log_std) + 0.5 * self.latent_dim as f64 * (TAU * E).ln()
    }

    /// With the Gaussian's precision `Λ` and `δ` the difference of the means:
    /// `½ [Σ Λ_ii σ_i² + δᵀΛδ − D − log det Λ − 2 Σ log σ_i]`.
    fn kl_to_gaussian(
        &self,
        params: &VariationalParams,
        mean: &Tensor,
        covariance: &Tensor,
    ) -> Tensor {
        let (own_mean, log_std) = self.mean_and_log_std(params);
        let (own_mean, log_std) = (
            own_mean.to_kind(Kind::Double),
            log_std.to_kind(Kind::Double),
        );
        let precision = Tensor::linalg_inv(covariance);
        let trace = sum_last_axis(&((&log_std * 2.0).exp() * precision.diagonal(0, 0, 1)));
        let offset = own_mean - mean;
        let quadratic = sum_last_axis(&(offset.matmul(&precision) * &offset));
        let log_det = precision.slogdet().1;
        (trace + quadratic - self.latent_dim as f64 - log_det - sum_last_axis(&log_std) * 2.0) * 0.5
    }

    /// The minimum is at the Gaussian's mean with `σ_i² = 1 / Λ_ii`: `½ [Σ log Λ_ii − log det Λ]`.
    fn min_kl_to_gaussian(&self, covariance: &Tensor) -> f64 {
        let precision = Tensor::linalg_inv(covariance);
        let log_diagonal = precision.diagonal(0, 0, 1).log().sum(Kind::Double);
        let log_det = precision.slogdet().1;
        0.5 * (log_diagonal - log_det).double_value(&[])
    }
}
