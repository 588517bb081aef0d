//! What a variational family must answer: how `λ` becomes draws, and how a score becomes `∇_λ`.

mod diagonal_gaussian;

pub use diagonal_gaussian::DiagonalGaussian;

use gap_torch::NoiseStream;
use tch::{Device, Kind, Tensor};

/// Parameters of one `q(z)` for each datapoint: `λ`, `[B, Q]`.
#[derive(Debug)]
pub struct VariationalParams(pub Tensor);

impl VariationalParams {
    /// The parameters of each datapoint, in `f64`: `B` of length `Q`.
    pub fn to_rows(&self) -> Vec<Vec<f64>> {
        let width = self.0.size()[1] as usize;
        let flat = self.0.to_device(Device::Cpu).to_kind(Kind::Double);
        let flat = Vec::<f64>::try_from(flat.contiguous().view([-1]));
        let flat = flat.expect("a double tensor holds doubles");
        flat.chunks_exact(width).map(<[f64]>::to_vec).collect()
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
pub trait VariationalFamily: Send + Sync {
    /// `D`.
    fn latent_dim(&self) -> i64;

    /// `Q`.
    fn param_dim(&self) -> i64;

    /// Parameters that make every `q` the standard normal: `[B, Q]`.
    fn prior_like_params(&self, batch: i64, device: Device) -> VariationalParams;

    /// `z` and its log density, from standard-normal `noise` (`[S, B, D]`, or `[S, 1, D]` common to
    /// all datapoints).
    fn transform(&self, params: &VariationalParams, noise: &Tensor) -> Draws;

    /// `∇_λ L[q]`, estimated from the `score` (`[S, B, D]`) at the `z` that `noise` gave: `[B, Q]`.
    ///
    /// The entropy's part is exact.
    fn pull_back(&self, params: &VariationalParams, noise: &Tensor, score: &Tensor) -> Tensor;

    /// The entropy of each `q`, nats, `f64`, differentiable: `[B]`.
    fn entropy(&self, params: &VariationalParams) -> Tensor;

    /// The family itself, if it is this one: the kernels know it.
    fn as_diagonal_gaussian(&self) -> Option<DiagonalGaussian> {
        None
    }

    /// The next `n_samples` draws of each datapoint.
    fn sample(&self, params: &VariationalParams, n_samples: i64, noise: &mut NoiseStream) -> Draws {
        self.transform(params, &noise.normal(n_samples, self.latent_dim()))
    }
}

/// A family whose density can be computed at any `z`.
pub trait EvaluableFamily: VariationalFamily {
    /// `log q(z)`, nats, `f64`: `[S, B, D] -> [S, B]`.
    fn log_prob(&self, params: &VariationalParams, z: &Tensor) -> Tensor;

    /// `KL(q ‖ N(mean, covariance))`, nats, exact: `[B, D], [D, D] -> [B]`.
    fn kl_to_gaussian(
        &self,
        params: &VariationalParams,
        mean: &Tensor,
        covariance: &Tensor,
    ) -> Tensor;

    /// The smallest `KL(q ‖ N(·, covariance))` over the family, nats, exact.
    fn least_kl_to_gaussian(&self, covariance: &Tensor) -> f64;
}
