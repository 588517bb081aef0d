//! Where an annealing path begins: a Gaussian for each datapoint.

use gap_infer::{VariationalFamily, VariationalParams};
use gap_model::FloatNumber;
use gap_torch::{NoiseStream, SeedKey, to_f64_values};
use std::f64::consts::TAU;
use tch::{Device, Kind, Tensor};

/// The number of draws of `q` from which the moments of the initial Gaussian are estimated, if `q` is not a
/// diagonal Gaussian. As many draws with the opposite noise are added.
const MOMENT_MATCHING_DRAWS: i64 = 2048;

/// A Gaussian for each datapoint, `N(mean, F Fᵀ)`.
#[derive(Clone, Debug)]
pub struct InitialGaussian {
    latent_dim: usize,
    mean: Vec<f64>, // [B, D]
    factor: CovarianceFactor<f64>,
}

/// The map from coordinates `w`, in which an [`InitialGaussian`] is the standard normal and chains move, to
/// `z = mean + F w`, in numbers of type `T`.
#[derive(Clone, Debug)]
pub struct WhitenedCoordinates<T> {
    latent_dim: usize,
    mean: Vec<T>, // [B, D]
    factor: CovarianceFactor<T>,
    /// `log |F|` of each datapoint, computed from the values of `F` that are used.
    log_dets: Vec<f64>, // [B]
}

/// The factor `F` of each covariance `F Fᵀ`.
#[derive(Clone, Debug)]
enum CovarianceFactor<T> {
    /// Standard deviations: `[B, D]`.
    Diagonal(Vec<T>),
    /// Lower triangles, rows one after another: `[B, D, D]`.
    Lower(Vec<T>),
}

impl InitialGaussian {
    /// The standard normal prior, for `n_points` datapoints.
    pub fn standard_normal_prior(n_points: usize, latent_dim: usize) -> Self {
        let std = vec![1.0; n_points * latent_dim];
        Self {
            latent_dim,
            mean: vec![0.0; std.len()],
            factor: CovarianceFactor::Diagonal(std),
        }
    }

    /// Returns the Gaussian with the moments of a fitted `q`, for each datapoint: `q` itself if it is a
    /// diagonal Gaussian; otherwise the moments are estimated on draws.
    pub fn matching_moments_of(family: &dyn VariationalFamily, params: &VariationalParams) -> Self {
        match family.as_diagonal_gaussian() {
            Some(diagonal) => {
                let (mean, log_std) = diagonal.mean_and_log_std(params);
                let rows = |tensor: Tensor| VariationalParams(tensor).to_rows().concat();
                let std = rows(log_std.copy());
                let std = std.into_iter().map(f64::exp);
                Self {
                    latent_dim: family.latent_dim() as usize,
                    mean: rows(mean.copy()),
                    factor: CovarianceFactor::Diagonal(std.collect()),
                }
            }
            None => Self::from_estimated_moments(family, params),
        }
    }

    fn from_estimated_moments(family: &dyn VariationalFamily, params: &VariationalParams) -> Self {
        let dim = family.latent_dim();
        let device = params.0.device();
        let key = SeedKey::root(0).for_role("moments");
        let noise =
            NoiseStream::new(key, &[0], device).normal(MOMENT_MATCHING_DRAWS, family.noise_dim());
        let noise = Tensor::cat(&[&noise, &(-&noise)], 0); // [S, 1, N]
        let (mut mean, mut lower) = (Vec::new(), Vec::new());
        for point in 0..params.0.size()[0] {
            let own = VariationalParams(params.0.narrow(0, point, 1));
            let z = family.transform(&own, &noise).z.to_kind(Kind::Double);
            let z = z.view([-1, dim]).to_device(Device::Cpu); // [S, D]
            let center = z.mean_dim([0_i64].as_slice(), true, Kind::Double);
            let apart = z - &center;
            let covariance = apart.tr().matmul(&apart) / apart.size()[0] as f64;
            mean.extend(to_f64_values(&center));
            // The factorisation fails if draws are not finite.
            let factor = covariance.f_linalg_cholesky(false);
            let factor = factor.unwrap_or_else(|_| covariance.full_like(f64::NAN));
            lower.extend(to_f64_values(&factor));
        }
        Self {
            latent_dim: dim as usize,
            mean,
            factor: CovarianceFactor::Lower(lower),
        }
    }

    /// The number of datapoints, `B`.
    pub const fn n_points(&self) -> usize {
        self.mean.len() / self.latent_dim
    }

    /// The coordinates in which it is the standard normal, rounded to the type `T`.
    pub fn coordinates<T: FloatNumber>(&self) -> WhitenedCoordinates<T> {
        let rounded =
            |values: &[f64]| -> Vec<T> { values.iter().map(|&v| T::from_f64(v)).collect() };
        let factor = match &self.factor {
            CovarianceFactor::Diagonal(std) => CovarianceFactor::Diagonal(rounded(std)),
            CovarianceFactor::Lower(lower) => CovarianceFactor::Lower(rounded(lower)),
        };
        WhitenedCoordinates::new(self.latent_dim, rounded(&self.mean), factor)
    }
}

impl<T: FloatNumber> WhitenedCoordinates<T> {
    fn new(latent_dim: usize, mean: Vec<T>, factor: CovarianceFactor<T>) -> Self {
        let log_sum = |diagonal: &mut dyn Iterator<Item = &T>| -> f64 {
            diagonal.map(|&s| s.to_f64().ln()).sum()
        };
        let log_dets = match &factor {
            CovarianceFactor::Diagonal(std) => {
                let points = std.chunks_exact(latent_dim);
                points.map(|std| log_sum(&mut std.iter())).collect()
            }
            CovarianceFactor::Lower(lower) => {
                let points = lower.chunks_exact(latent_dim * latent_dim);
                points
                    .map(|rows| log_sum(&mut rows.iter().step_by(latent_dim + 1)))
                    .collect()
            }
        };
        Self {
            latent_dim,
            mean,
            factor,
            log_dets,
        }
    }

    /// The number of datapoints, `B`.
    pub const fn n_points(&self) -> usize {
        self.log_dets.len()
    }

    /// The latent dimension, `D`.
    pub const fn latent_dim(&self) -> usize {
        self.latent_dim
    }

    fn mean(&self, point: usize) -> &[T] {
        &self.mean[point * self.latent_dim..][..self.latent_dim]
    }

    /// Writes `z = mean + F w` of a datapoint.
    pub fn unwhiten(&self, point: usize, w: &[T], z: &mut [T]) {
        let (dim, mean) = (self.latent_dim, self.mean(point));
        match &self.factor {
            CovarianceFactor::Diagonal(std) => {
                let std = &std[point * dim..][..dim];
                for i in 0..z.len() {
                    z[i] = std[i].mul_add(w[i], mean[i]);
                }
            }
            CovarianceFactor::Lower(lower) => {
                let rows = lower[point * dim * dim..].chunks_exact(dim);
                for (i, row) in rows.take(dim).enumerate() {
                    z[i] = mean[i] + sum_of_products(&row[..=i], w);
                }
            }
        }
    }

    /// Writes the `w` of a position `z`; the inverse of [`Self::unwhiten`].
    pub fn whiten(&self, point: usize, z: &[T], w: &mut [T]) {
        let (dim, mean) = (self.latent_dim, self.mean(point));
        match &self.factor {
            CovarianceFactor::Diagonal(std) => {
                let std = &std[point * dim..][..dim];
                for i in 0..w.len() {
                    w[i] = (z[i] - mean[i]) / std[i];
                }
            }
            CovarianceFactor::Lower(lower) => {
                let rows = lower[point * dim * dim..].chunks_exact(dim);
                for (i, row) in rows.take(dim).enumerate() {
                    let known = sum_of_products(&row[..i], w);
                    w[i] = (z[i] - mean[i] - known) / row[i];
                }
            }
        }
    }

    /// Replaces `score` by `Fᵀ score`, the gradient in `w`.
    pub fn pull_back(&self, point: usize, score: &mut [T]) {
        let dim = self.latent_dim;
        match &self.factor {
            CovarianceFactor::Diagonal(std) => {
                for (score, &std) in score.iter_mut().zip(&std[point * dim..]) {
                    *score *= std;
                }
            }
            CovarianceFactor::Lower(lower) => {
                let lower = &lower[point * dim * dim..][..dim * dim];
                for i in 0..dim {
                    // Column i is zero above the diagonal, and scores from i on have not been replaced yet.
                    let products = (i..dim).map(|k| lower[k * dim + i] * score[k]);
                    score[i] = products.fold(T::default(), T::add);
                }
            }
        }
    }

    /// Returns `log N(z; mean, F Fᵀ)`, nats, at a `z` whose `w` has the sum of squares `squares`.
    pub fn log_density(&self, point: usize, squares: f64) -> f64 {
        -0.5 * (squares + self.latent_dim as f64 * TAU.ln()) - self.log_dets[point]
    }
}

/// `|w|²`, summed in `f64`.
pub fn sum_of_squares<T: FloatNumber>(values: &[T]) -> f64 {
    values.iter().map(|&v| v.to_f64().powi(2)).sum()
}

fn sum_of_products<T: FloatNumber>(left: &[T], right: &[T]) -> T {
    let products = left.iter().zip(right).map(|(&l, &r)| l * r);
    products.fold(T::default(), T::add)
}
