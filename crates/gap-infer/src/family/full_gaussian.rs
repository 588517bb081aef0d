//! `q(z) = N(μ, L Lᵀ)` with any covariance; `λ = (μ, log diag L, the rest of L row by row)`.

use super::columns::FeatureColumns;
use super::gaussians::FullGaussian;
use super::number::{FloatNumber, add_scaled, dot, sum};
use super::per_datapoint::{
    PerDatapointFamily, log_prob_per_datapoint, weighted_path_gradient_per_datapoint,
};
use super::variational::{ClosedFormGaussianFamily, EvaluableDensityFamily, VariationalParams};
use std::f64::consts::{E, TAU};
use tch::{Kind, Tensor};

impl FullGaussian {
    /// The number of variational parameters of one datapoint, `Q`.
    pub const fn n_params(self) -> usize {
        self.dim + self.dim * (self.dim + 1) / 2
    }

    /// The map from standard normals to `z`. `params` starts with the Gaussian's parameters; any that follow
    /// are ignored.
    pub fn affine_map<T: FloatNumber>(self, params: &[T]) -> AffineMap<'_, T> {
        let (mean, rest) = params.split_at(self.dim);
        let (log_diagonal, rest) = rest.split_at(self.dim);
        let mut diagonal = log_diagonal.to_vec();
        T::exponentiate(&mut diagonal);
        AffineMap {
            mean,
            log_det: log_diagonal.iter().map(|&r| r.to_f64()).sum(),
            diagonal,
            lower: &rest[..self.dim * (self.dim - 1) / 2],
        }
    }

    /// `μ` (`[B, D]`) and `L` (`[B, D, D]`), `f64`.
    fn mean_and_cholesky_factor(self, params: &VariationalParams) -> (Tensor, Tensor) {
        let dim = self.dim as i64;
        let params = params.0.to_kind(Kind::Double);
        let batch = params.size()[0];
        let factor = Tensor::zeros([batch, dim, dim], (Kind::Double, params.device()));
        let mut next = 2 * dim;
        for i in 0..dim {
            let row = factor.select(1, i);
            row.narrow(1, 0, i).copy_(&params.narrow(1, next, i));
            row.select(1, i).copy_(&params.select(1, dim + i).exp());
            next += i;
        }
        (params.narrow(1, 0, dim), factor)
    }
}

/// The map `z = μ + L u` for one datapoint. Flows and mixtures also end with it, so that they work in
/// coordinates in which the best Gaussian is standard normal.
pub struct AffineMap<'a, T> {
    mean: &'a [T],
    diagonal: Vec<T>,
    lower: &'a [T],
    /// `log |det L|`.
    pub log_det: f64,
}

impl<T: FloatNumber> AffineMap<'_, T> {
    /// Row `i` of `L` to the left of the diagonal.
    fn lower_triangle_row(&self, i: usize) -> &[T] {
        &self.lower[i * i.saturating_sub(1) / 2..][..i]
    }

    /// `z = μ + L u`: `[D, S] -> [D, S]`.
    pub fn apply(&self, u: &FeatureColumns<T>) -> FeatureColumns<T> {
        let mut z = FeatureColumns::zeros(self.mean.len(), u.n_samples());
        for (i, &mean) in self.mean.iter().enumerate() {
            let z = z.feature_mut(i);
            z.fill(mean);
            add_scaled(z, self.diagonal[i], u.feature(i));
            for (j, &factor) in self.lower_triangle_row(i).iter().enumerate() {
                add_scaled(z, factor, u.feature(j));
            }
        }
        z
    }

    /// [`AffineMap::apply`] for values stored draw after draw: `[S, D] -> [S, D]`.
    pub fn apply_to_rows(&self, u: &[T], z: &mut [T]) {
        self.apply(&FeatureColumns::from_rows(u, self.mean.len()))
            .write_rows(z);
    }

    /// [`AffineMap::whiten_score`] for values stored draw after draw: `[S, D] -> [S, D]`.
    pub fn whiten_score_rows(&self, score: &[T], whitened: &mut [T]) {
        let score = FeatureColumns::from_rows(score, self.mean.len());
        self.whiten_score(&score).write_rows(whitened);
    }

    /// `u = L⁻¹ (z − μ)`: `[D, S] -> [D, S]`.
    pub fn invert(&self, z: &FeatureColumns<T>) -> FeatureColumns<T> {
        let mut u: FeatureColumns<T> = FeatureColumns::zeros(self.mean.len(), z.n_samples());
        for (i, &mean) in self.mean.iter().enumerate() {
            let mut own = z.feature(i).to_vec();
            for (j, &factor) in self.lower_triangle_row(i).iter().enumerate() {
                add_scaled(&mut own, -factor, u.feature(j));
            }
            let inverse = T::from_f64(1.0) / self.diagonal[i];
            for (u, own) in u.feature_mut(i).iter_mut().zip(own) {
                *u = (own - mean) * inverse;
            }
        }
        u
    }

    /// The score in `u`, which is `Lᵀ` times the score in `z`: `[D, S] -> [D, S]`.
    pub fn whiten_score(&self, score: &FeatureColumns<T>) -> FeatureColumns<T> {
        let mut whitened = FeatureColumns::zeros(self.mean.len(), score.n_samples());
        for i in 0..self.mean.len() {
            add_scaled(whitened.feature_mut(i), self.diagonal[i], score.feature(i));
            for (j, &factor) in self.lower_triangle_row(i).iter().enumerate() {
                add_scaled(whitened.feature_mut(j), factor, score.feature(i));
            }
        }
        whitened
    }

    /// Returns the gradient in `(μ, log diag L, rest of L)`, given the gradient `pull` (`[D, S]`) in each `u`:
    /// `L⁻ᵀ E[pull]` in `μ` and `L⁻ᵀ E[pull uᵀ]` in `L`. The log determinant contributes nothing to it.
    pub fn path_gradient(&self, u: &FeatureColumns<T>, pull: &FeatureColumns<T>) -> Vec<T> {
        let dim = self.mean.len();
        let scale = T::from_f64(1.0 / u.n_samples() as f64);
        // Column 0 is for μ, column 1 + j for column j of L.
        let mut moments: Vec<Vec<T>> = (0..=dim)
            .map(|column| {
                let moment = |i: usize| match column {
                    0 => sum(pull.feature(i)) * scale,
                    j => dot(pull.feature(i), u.feature(j - 1)) * scale,
                };
                (0..dim).map(moment).collect()
            })
            .collect();
        for moment in &mut moments {
            self.solve_transposed(moment);
        }
        let diagonal = (0..dim).map(|i| moments[1 + i][i] * self.diagonal[i]);
        let lower = (0..dim).flat_map(|i| (0..i).map(move |j| (i, j)));
        let lower = lower.map(|(i, j)| moments[1 + j][i]);
        let mean = moments[0].iter().copied();
        mean.chain(diagonal).chain(lower).collect()
    }

    /// Replaces `v` by `L⁻ᵀ v`.
    fn solve_transposed(&self, v: &mut [T]) {
        for i in (0..v.len()).rev() {
            v[i] *= T::from_f64(1.0) / self.diagonal[i];
            let solved = v[i];
            for (j, &factor) in self.lower_triangle_row(i).iter().enumerate() {
                v[j] -= factor * solved;
            }
        }
    }
}

/// `log N(u; 0, I)` of each draw, nats: `[D, S] -> [S]`.
pub fn log_standard_normal_density<T: FloatNumber>(u: &FeatureColumns<T>) -> Vec<f64> {
    let normaliser = -0.5 * u.n_features() as f64 * TAU.ln();
    let mut log_density = vec![normaliser; u.n_samples()];
    for column in u.iter() {
        for (log_density, &u) in log_density.iter_mut().zip(column) {
            *log_density -= 0.5 * u.to_f64().powi(2);
        }
    }
    log_density
}

impl PerDatapointFamily for FullGaussian {
    fn dim(&self) -> usize {
        self.dim
    }

    fn n_params(&self) -> usize {
        (*self).n_params()
    }

    fn draw<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &FeatureColumns<T>,
    ) -> (FeatureColumns<T>, Vec<f64>) {
        let map = self.affine_map(params);
        let mut log_q = log_standard_normal_density(noise);
        log_q.iter_mut().for_each(|log_q| *log_q -= map.log_det);
        (map.apply(noise), log_q)
    }

    /// The gradient in `μ` is `E[s]`; that in the factor `L` is `E[s εᵀ] + diag(1 / L_ii)`, where the last term
    /// comes from the entropy.
    fn gradient<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &FeatureColumns<T>,
        score: &FeatureColumns<T>,
    ) -> Vec<T> {
        let map = self.affine_map(params);
        let scale = T::from_f64(1.0 / noise.n_samples() as f64);
        let moment = |i: usize, j: usize| dot(score.feature(i), noise.feature(j)) * scale;
        let mean = (0..self.dim).map(|i| sum(score.feature(i)) * scale);
        let diagonal = (0..self.dim).map(|i| moment(i, i) * map.diagonal[i] + T::from_f64(1.0));
        let lower = (0..self.dim).flat_map(|i| (0..i).map(move |j| (i, j)));
        let lower = lower.map(|(i, j)| moment(i, j));
        mean.chain(diagonal).chain(lower).collect()
    }

    /// With `z = μ + L ε`, `−∇_ε log q` is `ε`.
    fn weighted_gradient<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &FeatureColumns<T>,
        score: &FeatureColumns<T>,
        weights: &[T],
    ) -> Vec<T> {
        let map = self.affine_map(params);
        let mut pull = map.whiten_score(score);
        // The path gradient is a mean over draws, and this is a sum.
        let n_samples = T::from_f64(noise.n_samples() as f64);
        for i in 0..self.dim {
            let draws = pull.feature_mut(i).iter_mut().zip(noise.feature(i));
            for ((pull, &noise), &weight) in draws.zip(weights) {
                *pull = (*pull + noise) * weight * n_samples;
            }
        }
        map.path_gradient(noise, &pull)
    }

    fn as_full(&self) -> Option<FullGaussian> {
        Some(*self)
    }

    fn as_evaluable_density(&self) -> Option<&dyn EvaluableDensityFamily> {
        Some(self)
    }

    fn as_closed_form_gaussian(&self) -> Option<&dyn ClosedFormGaussianFamily> {
        Some(self)
    }
}

impl EvaluableDensityFamily for FullGaussian {
    fn log_prob(&self, params: &VariationalParams, z: &Tensor) -> Tensor {
        log_prob_per_datapoint((*self).n_params(), params, z, |params, z| {
            let map = self.affine_map(params);
            let mut log_q = log_standard_normal_density(&map.invert(z));
            log_q.iter_mut().for_each(|log_q| *log_q -= map.log_det);
            log_q
        })
    }

    fn weighted_path_gradient(
        &self,
        params: &VariationalParams,
        noise: &Tensor,
        score: &Tensor,
        weights: &Tensor,
    ) -> Tensor {
        weighted_path_gradient_per_datapoint(self, params, [noise, score, weights])
    }
}

impl ClosedFormGaussianFamily for FullGaussian {
    fn entropy(&self, params: &VariationalParams) -> Tensor {
        let dim = self.dim as i64;
        let log_diagonal = params.0.narrow(1, dim, dim);
        let log_det = log_diagonal.sum_dim_intlist([1_i64].as_slice(), false, Kind::Double);
        log_det + 0.5 * self.dim as f64 * (TAU * E).ln()
    }

    /// With the Gaussian's precision `Λ` and `δ` the difference of the means:
    /// `½ [tr(Λ L Lᵀ) + δᵀΛδ − D − log det Λ − 2 Σ log L_ii]`.
    fn kl_to_gaussian(
        &self,
        params: &VariationalParams,
        mean: &Tensor,
        covariance: &Tensor,
    ) -> Tensor {
        let (own_mean, factor) = self.mean_and_cholesky_factor(params);
        let precision = Tensor::linalg_inv(covariance);
        let over = |tensor: Tensor, axes: &[i64]| tensor.sum_dim_intlist(axes, false, Kind::Double);
        let trace = over(precision.matmul(&factor) * &factor, &[1, 2]);
        let offset = own_mean - mean;
        let quadratic = over(offset.matmul(&precision) * &offset, &[1]);
        let log_det = precision.slogdet().1;
        let own = self.entropy(params) - 0.5 * self.dim as f64 * (TAU * E).ln();
        (trace + quadratic - self.dim as f64 - log_det - own * 2.0) * 0.5
    }

    /// Zero, since the family contains every covariance.
    fn min_kl_to_gaussian(&self, _: &Tensor) -> f64 {
        0.0
    }
}
