//! The interface of variational families: parameters, draws, and gradients through the draws.

use super::gaussians::{DiagonalGaussian, FullGaussian};
use super::number::FloatNumber;
use gap_torch::{NoiseStream, to_f64_values};
use tch::{Device, Kind, Tensor};

/// Parameters of one `q(z)` for each datapoint: `λ`, `[B, Q]`.
#[derive(Debug)]
pub struct VariationalParams(pub Tensor);

impl VariationalParams {
    /// The parameters of each datapoint, in `f64`: `B` rows of length `Q`.
    pub fn to_rows(&self) -> Vec<Vec<f64>> {
        let width = self.0.size()[1] as usize;
        let rows = to_f64_values(&self.0);
        rows.chunks_exact(width).map(<[f64]>::to_vec).collect()
    }

    /// Stacks the parameters of the datapoints into one `f32` tensor on `device`.
    pub fn from_rows(rows: &[&[f64]], device: Device) -> Self {
        Self::of_kind(rows, Kind::Float, device)
    }

    /// Stacks the parameters of the datapoints into one tensor of this kind on `device`.
    pub fn of_kind(rows: &[&[f64]], kind: Kind, device: Device) -> Self {
        let shape = [
            rows.len() as i64,
            rows.first().map_or(0, |row| row.len()) as i64,
        ];
        let rounded = Tensor::from_slice(&rows.concat()).to_kind(kind);
        Self(rounded.view(shape).to_device(device))
    }
}

/// Draws from `q`, and their log density under `q`.
#[derive(Debug)]
pub struct Draws {
    /// The draws, `[S, B, D]`.
    pub z: Tensor,
    /// The log densities, `[S, B]`, nats, `f64`.
    pub log_q: Tensor,
}

/// A reparameterised family of distributions over `z`: draws of `z` are a function of `λ` and noise.
///
/// The first `2D` entries of `λ` are `(μ, log σ)`. [`VariationalFamily::embed_smaller_family`] appends entries
/// that make `q` the diagonal Gaussian with these parameters. So every family contains the diagonal Gaussians,
/// and its ascent can start where an ascent in that family ended.
pub trait VariationalFamily: RowTransform<f32> + RowTransform<f64> + Send + Sync {
    /// The latent dimension, `D`.
    fn latent_dim(&self) -> i64;

    /// The number of variational parameters of one datapoint, `Q`.
    fn param_dim(&self) -> i64;

    /// The number of standard normals that one draw is computed from, `N`.
    fn noise_dim(&self) -> i64 {
        self.latent_dim()
    }

    /// Parameters that make every `q` the standard normal: `[B, Q]`, `f32`.
    fn standard_normal_params(&self, batch: i64, device: Device) -> VariationalParams {
        let row = self.embed_smaller_family(&vec![0.0; 2 * self.latent_dim() as usize]);
        VariationalParams::from_rows(&vec![row.as_slice(); batch as usize], device)
    }

    /// Returns the `λ` of this family whose `q` is the Gaussian with the parameters `smaller`: a diagonal
    /// Gaussian, or a full one if this family contains those.
    fn embed_smaller_family(&self, smaller: &[f64]) -> Vec<f64> {
        let mut params = smaller.to_vec();
        params.resize(self.param_dim() as usize, 0.0);
        params
    }

    /// Returns the `λ` of this family that comes nearest to a mixture of Gaussians, each a member of the
    /// largest Gaussian family that this family contains; with each comes how far its ELBO is below that of the
    /// first, nats. `None` if the family cannot place its parts.
    fn embed_several_gaussians(&self, _gaussians: &[&(Vec<f64>, f64)]) -> Option<Vec<f64>> {
        None
    }

    /// Returns the parameters that an ascent from `params` starts at. These are `params` themselves, unless the
    /// gradient cannot break a symmetry there, as in a mixture with equal components; then they are others
    /// nearby.
    fn move_off_saddle(&self, params: Vec<f64>) -> Vec<f64> {
        params
    }

    /// Returns `z` and its log density, from standard-normal `noise` (`[S, B, N]`, or `[S, 1, N]` if all
    /// datapoints share it). For a family with auxiliary variables `v`, `log_q` is
    /// `log q(z, v) − log r(v | z)`.
    fn transform(&self, params: &VariationalParams, noise: &Tensor) -> Draws;

    /// Returns an unbiased estimate of `∇_λ L[q]`, `[B, Q]`, from the model's `score` (`[S, B, D]`) at the `z`
    /// that [`VariationalFamily::transform`] gives for `noise`.
    ///
    /// The gradient of the entropy is exact, or estimated on the same draws.
    fn pull_back(&self, params: &VariationalParams, noise: &Tensor, score: &Tensor) -> Tensor;

    /// This family if it is the diagonal Gaussian, for which fits and ascents have faster methods.
    fn as_diagonal_gaussian(&self) -> Option<DiagonalGaussian> {
        None
    }

    /// This family if it is the full Gaussian, for which there are Newton steps.
    fn as_full_gaussian(&self) -> Option<FullGaussian> {
        None
    }

    /// This family, if its density can be computed at any `z`.
    fn evaluable_density(&self) -> Option<&dyn EvaluableDensityFamily> {
        None
    }

    /// This family, if its members are Gaussians whose entropy and divergences have closed forms.
    fn closed_form_gaussian(&self) -> Option<&dyn ClosedFormGaussianFamily> {
        None
    }

    /// Returns `n_samples` draws for each datapoint, made from the next normals of `noise`.
    fn sample(&self, params: &VariationalParams, n_samples: i64, noise: &mut NoiseStream) -> Draws {
        self.transform(params, &noise.normal(n_samples, self.noise_dim()))
    }
}

/// The maps of a family for one datapoint, on slices of numbers of type `T`.
pub trait RowTransform<T: FloatNumber> {
    /// [`VariationalFamily::transform`]: writes `z` (`[S, D]`) and `log_q` (`[S]`) from `params` (`[Q]`) and `noise`
    /// (`[S, N]`).
    fn transform_row(&self, params: &[T], noise: &[T], z: &mut [T], log_q: &mut [f64]);

    /// [`VariationalFamily::pull_back`]: writes `gradient` (`[Q]`) from `params` (`[Q]`), `noise` (`[S, N]`) and
    /// `score` (`[S, D]`).
    fn pull_back_row(&self, params: &[T], noise: &[T], score: &[T], gradient: &mut [T]);
}

/// A family whose density can be computed at any `z`.
pub trait EvaluableDensityFamily: VariationalFamily {
    /// `log q(z)`, nats, `f64`: `[S, B, D] -> [S, B]`.
    fn log_prob(&self, params: &VariationalParams, z: &Tensor) -> Tensor;

    /// `Σ_s c_s (∂z_s/∂λ)ᵀ (score_s − ∇_z log q(z_s))`, `[B, Q]`: the path gradient of draws with the fixed
    /// `weights` `c`, `[S, B]`, from the model's `score` (`[S, B, D]`) at the `z` that
    /// [`VariationalFamily::transform`] gives for `noise`.
    fn weighted_path_gradient(
        &self,
        params: &VariationalParams,
        noise: &Tensor,
        score: &Tensor,
        weights: &Tensor,
    ) -> Tensor;
}

/// A family of Gaussians, whose entropy and KL divergence from a given Gaussian have closed forms.
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

    /// The smallest `KL(q ‖ N(mean, covariance))` over the family, nats, exact; it is the same for every mean.
    fn min_kl_to_gaussian(&self, covariance: &Tensor) -> f64;
}
