//! What every family answers: parameters, draws, and the gradients through them.

use super::gaussians::{DiagonalGaussian, FullGaussian};
use gap_torch::{NoiseStream, to_f64_values};
use tch::{Device, Tensor};

/// Parameters of one `q(z)` for each datapoint: `λ`, `[B, Q]`.
#[derive(Debug)]
pub struct VariationalParams(pub Tensor);

impl VariationalParams {
    /// The parameters of each datapoint, in `f64`: `B` of length `Q`.
    pub fn to_rows(&self) -> Vec<Vec<f64>> {
        let width = self.0.size()[1] as usize;
        let rows = to_f64_values(&self.0);
        rows.chunks_exact(width).map(<[f64]>::to_vec).collect()
    }

    /// The parameters of each datapoint put together, in `f32`.
    pub fn from_rows(rows: &[&[f64]], device: Device) -> Self {
        let shape = [
            rows.len() as i64,
            rows.first().map_or(0, |row| row.len()) as i64,
        ];
        let flat: Vec<f32> = rows
            .iter()
            .flat_map(|row| row.iter().map(|&v| v as f32))
            .collect();
        Self(Tensor::from_slice(&flat).view(shape).to_device(device))
    }
}

/// Draws from `q`, and their log density under it.
#[derive(Debug)]
pub struct Draws {
    /// `[S, B, D]`
    pub z: Tensor,
    /// `[S, B]`, nats, `f64`
    pub log_q: Tensor,
}

/// A family of distributions over `z`, reparameterised: `z` is a function of `λ` and noise.
///
/// The first `2D` of `λ` are `(μ, log σ)`: [`VariationalFamily::embed_smaller_family`] puts behind them what
/// makes `q` that diagonal Gaussian. So every family contains the smallest one, and its ascent starts where
/// that one's ended.
pub trait VariationalFamily: Send + Sync {
    /// `D`.
    fn latent_dim(&self) -> i64;

    /// `Q`.
    fn param_dim(&self) -> i64;

    /// Standard normals that one draw is made of: `N`.
    fn noise_dim(&self) -> i64 {
        self.latent_dim()
    }

    /// Parameters that make every `q` the standard normal: `[B, Q]`.
    fn standard_normal_params(&self, batch: i64, device: Device) -> VariationalParams {
        let row = self.embed_smaller_family(&vec![0.0; 2 * self.latent_dim() as usize]);
        VariationalParams::from_rows(&vec![row.as_slice(); batch as usize], device)
    }

    /// The `λ` whose `q` is that of `smaller`, the `λ` of a Gaussian: a diagonal one, or a full one
    /// where this family contains it.
    fn embed_smaller_family(&self, smaller: &[f64]) -> Vec<f64> {
        let mut params = smaller.to_vec();
        params.resize(self.param_dim() as usize, 0.0);
        params
    }

    /// Where an ascent from `params` sets out: there, unless nothing there says which way to go.
    fn move_off_saddle(&self, params: Vec<f64>) -> Vec<f64> {
        params
    }

    /// `z` and its log density, from standard-normal `noise` (`[S, B, N]`, or `[S, 1, N]` common to
    /// all datapoints). For a bound on auxiliary variables `log_q` is `log q(z, v) − log r(v | z)`.
    fn transform(&self, params: &VariationalParams, noise: &Tensor) -> Draws;

    /// `∇_λ L[q]`, estimated without bias from the `score` (`[S, B, D]`) at the `z` that `noise` gave:
    /// `[B, Q]`.
    ///
    /// The entropy's part is exact, or has the same draws.
    fn pull_back(&self, params: &VariationalParams, noise: &Tensor, score: &Tensor) -> Tensor;

    /// [`VariationalFamily::transform`] of one datapoint in plain memory:
    /// `[Q], [S, N]` to `z [S, D]` and `log_q [S]`.
    fn transform_row(&self, params: &[f32], noise: &[f32], z: &mut [f32], log_q: &mut [f64]);

    /// [`VariationalFamily::pull_back`] of one datapoint: `[Q], [S, N], [S, D]` to `[Q]`.
    fn pull_back_row(&self, params: &[f32], noise: &[f32], score: &[f32], gradient: &mut [f32]);

    /// The family itself, if it is this one: the kernels know it.
    fn as_diagonal_gaussian(&self) -> Option<DiagonalGaussian> {
        None
    }

    /// The same for the full Gaussian: Newton's method knows it.
    fn as_full_gaussian(&self) -> Option<FullGaussian> {
        None
    }

    /// The family with its density, if that can be computed at any `z`.
    fn evaluable_density(&self) -> Option<&dyn EvaluableDensityFamily> {
        None
    }

    /// The family with its closed forms, if it has them.
    fn closed_form_gaussian(&self) -> Option<&dyn ClosedFormGaussianFamily> {
        None
    }

    /// The next `n_samples` draws of each datapoint.
    fn sample(&self, params: &VariationalParams, n_samples: i64, noise: &mut NoiseStream) -> Draws {
        self.transform(params, &noise.normal(n_samples, self.noise_dim()))
    }
}

/// A family whose density can be computed at any `z`.
pub trait EvaluableDensityFamily: VariationalFamily {
    /// `log q(z)`, nats, `f64`: `[S, B, D] -> [S, B]`.
    fn log_prob(&self, params: &VariationalParams, z: &Tensor) -> Tensor;
}

/// A family of Gaussians, whose entropy and divergence from a Gaussian have closed forms.
pub trait ClosedFormGaussianFamily: EvaluableDensityFamily {
    /// The entropy of each `q`, nats, `f64`: `[B]`.
    fn entropy(&self, params: &VariationalParams) -> Tensor;

    /// `KL(q ‖ N(mean, covariance))`, nats, exact: `[B, D], [D, D] -> [B]`.
    fn kl_to_gaussian(
        &self,
        params: &VariationalParams,
        mean: &Tensor,
        covariance: &Tensor,
    ) -> Tensor;

    /// The smallest `KL(q ‖ N(·, covariance))` over the family, nats, exact.
    fn min_kl_to_gaussian(&self, covariance: &Tensor) -> f64;
}
