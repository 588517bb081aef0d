//! A mixture of a few Gaussians of equal weight, followed by the affine map of the full Gaussian.

use super::columns::FeatureColumns;
use super::gaussians::FullGaussian;
use super::number::FloatNumber;
use super::per_datapoint::{
    PerDatapointFamily, log_prob_per_datapoint, weighted_path_gradient_per_datapoint,
};
use super::variational::{EvaluableDensityFamily, VariationalParams};
use gap_spec::family::MIXTURE_COMPONENTS;
use gap_torch::{NoiseStream, SeedKey};
use std::f64::consts::TAU;
use tch::{Device, Tensor};

/// `z = μ + L u`, `u = m_k + s_k ∘ ε` with `k` uniform. `λ` consists of the full Gaussian's `λ`, and then of
/// `m_k` and `log s_k` for one component after another.
///
/// The noise of a draw has one normal more than `D`, which selects the component. The number of components is
/// a power of 2, so that each gets nearly the same number of points of a Sobol sequence, and gradients are
/// nearly stratified over components. The weights are fixed and equal, since their gradient would need values
/// of `log p(x, z)`, not only scores; a mode with more mass can take several components.
///
/// Identical components have the same expected gradient, so nothing would separate them: an ascent starts with
/// their means up to one standard deviation from the centre. Gradients are path gradients (Roeder, Wu and
/// Duvenaud 2017, §4).
pub struct GaussianMixture {
    gaussian: FullGaussian,
    /// The components' means where their parameters in `λ` are 0: `[K, D]`.
    apart: Vec<f64>,
    n_components: usize,
}

/// Quantiles of the standard normal at 1/8, …, 7/8.
const NORMAL_OCTILES: [f64; 7] = [
    -1.150_349_380_376_008,
    -0.674_489_750_196_081_7,
    -0.318_639_363_964_375_1,
    0.0,
    0.318_639_363_964_375_1,
    0.674_489_750_196_081_7,
    1.150_349_380_376_008,
];

/// Draws of `u`, and the component that each came from.
struct MixtureDraws<T> {
    u: FeatureColumns<T>,
    /// The index of each draw's component, `[S]`.
    component: Vec<usize>,
}

/// The log density of the mixture at some `u`, and its gradient.
struct MixtureDensity<T> {
    log: Vec<f64>,
    /// `∇_u log q`, `[D, S]`.
    slope: FeatureColumns<T>,
}

impl GaussianMixture {
    /// A mixture with the default number of components, [`MIXTURE_COMPONENTS`].
    pub fn new(latent_dim: i64) -> Self {
        Self::with_n_components(latent_dim, MIXTURE_COMPONENTS)
    }

    /// A mixture of two, four or eight components.
    ///
    /// # Panics
    ///
    /// If `n_components` is any other number.
    pub fn with_n_components(latent_dim: i64, n_components: usize) -> Self {
        assert!(
            matches!(n_components, 2 | 4 | 8),
            "a mixture has 2, 4 or 8 components"
        );
        let dim = latent_dim as usize;
        let key = SeedKey::root(0).for_role("gaussian-mixture");
        let directions = NoiseStream::new(key, &[0], Device::Cpu).normal_values(n_components, dim);
        let last = (n_components - 1) as f64;
        let apart = directions
            .chunks_exact(dim)
            .enumerate()
            .flat_map(|(k, direction)| {
                if dim == 1 {
                    // One dimension has only two directions, so the means are spread evenly from −1 to 1.
                    return vec![2.0 * k as f64 / last - 1.0];
                }
                let length = direction.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
                let unit = direction.iter().map(|v| f64::from(*v) / length.sqrt());
                unit.collect()
            });
        Self {
            gaussian: FullGaussian::new(latent_dim),
            apart: apart.collect(),
            n_components,
        }
    }

    /// Returns `m_k` and `log s_k`, each `[D]`.
    fn component_mean_and_log_std<T: FloatNumber>(
        &self,
        params: &[T],
        k: usize,
    ) -> (Vec<T>, Vec<T>) {
        let dim = self.gaussian.dim();
        let own = &params[self.gaussian.n_params() + 2 * dim * k..][..2 * dim];
        let apart = self.apart[k * dim..].iter();
        let mean = own[..dim]
            .iter()
            .zip(apart)
            .map(|(&m, &a)| m + T::from_f64(a));
        (mean.collect(), own[dim..].to_vec())
    }

    fn draw_components<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &FeatureColumns<T>,
    ) -> MixtureDraws<T> {
        let dim = self.gaussian.dim();
        let every = 8 / self.n_components;
        let component = noise.feature(dim).iter().map(|choice| {
            let is_below = |octile: &&f64| **octile < choice.to_f64();
            NORMAL_OCTILES.iter().filter(is_below).count() / every
        });
        let component: Vec<usize> = component.collect();
        let parts: Vec<(Vec<T>, Vec<T>)> = (0..self.n_components)
            .map(|k| {
                let (mean, mut std) = self.component_mean_and_log_std(params, k);
                T::exponentiate(&mut std);
                (mean, std)
            })
            .collect();
        let mut u = FeatureColumns::zeros(dim, noise.n_samples());
        for i in 0..dim {
            let draws = u.feature_mut(i).iter_mut().zip(noise.feature(i));
            for ((u, &noise), &k) in draws.zip(&component) {
                let (mean, std) = &parts[k];
                *u = mean[i] + std[i] * noise;
            }
        }
        MixtureDraws { u, component }
    }

    fn mixture_density<T: FloatNumber>(
        &self,
        params: &[T],
        u: &FeatureColumns<T>,
    ) -> MixtureDensity<T> {
        let (dim, n_samples) = (self.gaussian.dim(), u.n_samples());
        let normaliser = -0.5 * dim as f64 * TAU.ln() - (self.n_components as f64).ln();
        let mut pulls = Vec::with_capacity(self.n_components); // −(u − m_k) / s_k², [D, S]
        let mut logs = Vec::with_capacity(self.n_components); // [S]
        for k in 0..self.n_components {
            let (mean, log_std) = self.component_mean_and_log_std(params, k);
            let log_det: f64 = log_std.iter().map(|r| r.to_f64()).sum();
            let mut precision: Vec<T> = log_std.iter().map(|&r| T::from_f64(-2.0) * r).collect();
            T::exponentiate(&mut precision);
            let mut pull = FeatureColumns::zeros(dim, n_samples);
            let mut log = vec![normaliser - log_det; n_samples];
            for i in 0..dim {
                let draws = pull.feature_mut(i).iter_mut().zip(u.feature(i));
                for ((pull, &u), log) in draws.zip(&mut log) {
                    let off = u - mean[i];
                    *pull = -(off * precision[i]);
                    *log += 0.5 * (off * *pull).to_f64();
                }
            }
            pulls.push(pull);
            logs.push(log);
        }
        let mut slope = FeatureColumns::zeros(dim, n_samples);
        let mut log = Vec::with_capacity(n_samples);
        for s in 0..n_samples {
            let draw_logs = logs.iter().map(|log| log[s]);
            let most = draw_logs.clone().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = draw_logs.clone().map(|log| (log - most).exp()).sum();
            log.push(most + total.ln());
            for (pull, log) in pulls.iter().zip(draw_logs) {
                let share = T::from_f64((log - most).exp() / total);
                for i in 0..dim {
                    slope.feature_mut(i)[s] += share * pull.feature(i)[s];
                }
            }
        }
        MixtureDensity { log, slope }
    }

    /// The number of the components' parameters, which follow the Gaussian's in `λ`.
    const fn n_component_params(&self) -> usize {
        2 * self.apart.len()
    }
}

impl PerDatapointFamily for GaussianMixture {
    fn dim(&self) -> usize {
        self.gaussian.dim()
    }

    fn n_params(&self) -> usize {
        self.gaussian.n_params() + self.n_component_params()
    }

    fn noise_normals_per_draw(&self) -> usize {
        self.gaussian.dim() + 1
    }

    fn draw<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &FeatureColumns<T>,
    ) -> (FeatureColumns<T>, Vec<f64>) {
        let map = self.gaussian.affine_map(params);
        let u = self.draw_components(params, noise).u;
        let mut log_q = self.mixture_density(params, &u).log;
        log_q.iter_mut().for_each(|log_q| *log_q -= map.log_det);
        (map.apply(&u), log_q)
    }

    fn gradient<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &FeatureColumns<T>,
        score: &FeatureColumns<T>,
    ) -> Vec<T> {
        let dim = self.gaussian.dim();
        let map = self.gaussian.affine_map(params);
        let MixtureDraws { u, component } = self.draw_components(params, noise);
        let mut pull = map.whiten_score(score);
        pull.subtract(&self.mixture_density(params, &u).slope);
        let mut gradient = map.path_gradient(&u, &pull);
        let first = gradient.len();
        gradient.resize(self.n_params(), T::default());
        let share = T::from_f64(1.0 / u.n_samples() as f64);
        // Since u = m_k + s_k ε, the derivative of u with respect to log s_k is u − m_k.
        let means: Vec<Vec<T>> = (0..self.n_components)
            .map(|k| self.component_mean_and_log_std(params, k).0)
            .collect();
        for (i, (pull, u)) in pull.iter().zip(u.iter()).enumerate() {
            for ((&pull, &u), &k) in pull.iter().zip(u).zip(&component) {
                let own = first + 2 * dim * k + i;
                gradient[own] += pull * share;
                gradient[own + dim] += pull * share * (u - means[k][i]);
            }
        }
        gradient
    }

    /// Puts all components at the centre with unit scale, so that `q` is the Gaussian.
    fn embed_smaller_family_params(&self, smaller: &[f64]) -> Vec<f64> {
        let dim = self.gaussian.dim();
        let mut params = smaller.to_vec();
        params.resize(self.gaussian.n_params(), 0.0);
        for apart in self.apart.chunks_exact(dim) {
            params.extend(apart.iter().map(|a| -a));
            params.extend(std::iter::repeat_n(0.0, dim));
        }
        params
    }

    /// Places each component at one of the Gaussians: a Gaussian gets about as many components as its share of
    /// the mass, by its ELBO, but at least one while there are enough. Components at the same Gaussian are
    /// apart by a part of its standard deviation.
    fn embed_several(&self, gaussians: &[&(Vec<f64>, f64)]) -> Option<Vec<f64>> {
        let dim = self.gaussian.dim();
        let n_placed = gaussians.len().min(self.n_components);
        let gaussians = &gaussians[..n_placed];
        let weights: Vec<f64> = gaussians.iter().map(|(_, below)| (-below).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut counts = vec![1; n_placed];
        for _ in n_placed..self.n_components {
            // The one whose components have the most mass each gets another.
            let mass = |i: &usize| weights[*i] / total / (counts[*i] as f64 + 0.5);
            let most = (0..n_placed).max_by(|a, b| mass(a).total_cmp(&mass(b)))?;
            counts[most] += 1;
        }
        let (first, _) = gaussians[0];
        let map = self.gaussian.affine_map(first);
        let mut params = first[..self.gaussian.n_params()].to_vec();
        let mut component = 0;
        for ((own, _), &count) in gaussians.iter().zip(&counts) {
            let mean = map.invert(&FeatureColumns::from_rows(&own[..dim], dim));
            for _ in 0..count {
                let spread = if count > 1 { 0.3 } else { 0.0 };
                for i in 0..dim {
                    let scale = (own[dim + i] - first[dim + i]).exp();
                    let apart = self.apart[component * dim + i];
                    params.push(mean.feature(i)[0] + spread * scale * apart - apart);
                }
                params.extend((0..dim).map(|i| own[dim + i] - first[dim + i]));
                component += 1;
            }
        }
        Some(params)
    }

    fn move_params_off_saddle(&self, mut params: Vec<f64>) -> Vec<f64> {
        let in_the_middle = self.embed_smaller_family_params(&params[..self.gaussian.n_params()]);
        // Compared up to rounding, since the parameters may have been `f32`.
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-6;
        if params.iter().zip(&in_the_middle).all(near) {
            params[self.gaussian.n_params()..].fill(0.0);
        }
        params
    }

    fn as_evaluable_density(&self) -> Option<&dyn EvaluableDensityFamily> {
        Some(self)
    }
}

impl EvaluableDensityFamily for GaussianMixture {
    fn log_prob(&self, params: &VariationalParams, z: &Tensor) -> Tensor {
        log_prob_per_datapoint(
            PerDatapointFamily::n_params(self),
            params,
            z,
            |params, z| {
                let map = self.gaussian.affine_map(params);
                let mut log_q = self.mixture_density(params, &map.invert(z)).log;
                log_q.iter_mut().for_each(|log_q| *log_q -= map.log_det);
                log_q
            },
        )
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
