//! Draws from a mixture of `q` and the prior, and their importance weights under the joint.

use crate::annealed::{InitialGaussian, WhitenedCoordinates, sum_of_squares};
use crate::estimate::{Accumulator, EstimateError};
use crate::importance::ImportanceWeightStats;
use gap_infer::{RowTransform, VariationalFamily, VariationalParams};
use gap_model::{FloatNumber, JointOutputs, JointRowEvaluator};
use gap_torch::{NoiseStream, SeedKey, to_f64_values};
use std::f64::consts::TAU;
use tch::{Device, Tensor};

/// The number of draws that are evaluated together.
const DRAWS_PER_CHUNK: u64 = 1024;

/// The fitted `q` of every datapoint, in numbers of type `T`.
pub enum FittedPosterior<'a, T> {
    /// Diagonal Gaussians, in plain memory.
    Diagonal(WhitenedCoordinates<T>),
    /// Any other family.
    Any {
        family: &'a dyn VariationalFamily,
        params: &'a VariationalParams,
        rows: Vec<Vec<T>>, // [B, Q]
    },
}

impl<'a, T: FloatNumber> FittedPosterior<'a, T>
where
    dyn VariationalFamily + 'a: RowTransform<T>,
{
    pub fn new(family: &'a dyn VariationalFamily, params: &'a VariationalParams) -> Self {
        if family.as_diagonal_gaussian().is_some() {
            let gaussian = InitialGaussian::matching_moments_of(family, params);
            return Self::Diagonal(gaussian.coordinates());
        }
        let rounded = |row: Vec<f64>| row.into_iter().map(T::from_f64).collect();
        Self::Any {
            family,
            params,
            rows: params.to_rows().into_iter().map(rounded).collect(),
        }
    }

    /// Returns the latent dimension `D` and the noise dimension `N`.
    fn latent_and_noise_dims(&self) -> (usize, usize) {
        match self {
            Self::Diagonal(initial) => (initial.latent_dim(), initial.latent_dim()),
            Self::Any { family, .. } => (family.latent_dim() as usize, family.noise_dim() as usize),
        }
    }

    /// Writes draws `z` (`[S, D]`) of a datapoint and `log q` (`[S]`) at them, from `noise` (`[S, N]`).
    fn draw(&self, point: usize, noise: &[T], z: &mut [T], log_q: &mut [f64]) {
        match self {
            Self::Diagonal(initial) => {
                let dim = initial.latent_dim();
                let draws = z.chunks_exact_mut(dim).zip(noise.chunks_exact(dim));
                for ((z, noise), log_q) in draws.zip(log_q) {
                    initial.unwhiten(point, noise, z);
                    *log_q = initial.log_density(point, sum_of_squares(noise));
                }
            }
            Self::Any { family, rows, .. } => {
                RowTransform::<T>::transform_row(*family, &rows[point], noise, z, log_q);
            }
        }
    }

    /// Returns `log q` of a datapoint at any `z`: `[S, D] -> [S]`, nats.
    fn log_density(&self, point: usize, z: &[T]) -> Vec<f64> {
        match self {
            Self::Diagonal(initial) => {
                let mut w = vec![T::default(); initial.latent_dim()];
                let places = z.chunks_exact(initial.latent_dim());
                places
                    .map(|z| {
                        initial.whiten(point, z, &mut w);
                        initial.log_density(point, sum_of_squares(&w))
                    })
                    .collect()
            }
            Self::Any { family, params, .. } => {
                let own = VariationalParams(params.0.narrow(0, point as i64, 1));
                let places = Tensor::from_slice(z).view([-1, 1, family.latent_dim()]);
                let places = places.to_device(own.0.device());
                let family = family.evaluable_density();
                let family = family.expect("families without a density were refused");
                to_f64_values(&family.log_prob(&own, &places))
            }
        }
    }
}

/// One datapoint's draws from `(1 − share) q + share N(0, I)`.
pub struct Proposal<'q, 'a, T> {
    q: &'q FittedPosterior<'a, T>,
    point: usize,
    prior_share: f64,
    noise: NoiseStream,
    components: NoiseStream,
    z: Vec<T>,           // [S, D]
    log_q: Vec<f64>,     // [S]
    log_joint: Vec<f64>, // [S]
}

impl<'q, 'a, T: FloatNumber> Proposal<'q, 'a, T>
where
    dyn VariationalFamily + 'a: RowTransform<T>,
{
    pub fn new(
        q: &'q FittedPosterior<'a, T>,
        point: usize,
        id: u64,
        prior_share: f64,
        key: SeedKey,
    ) -> Self {
        let stream = |key: SeedKey| NoiseStream::new(key, &[id], Device::Cpu);
        Self {
            q,
            point,
            prior_share,
            noise: stream(key.for_role("noise")),
            components: stream(key.for_role("component")),
            z: Vec::new(),
            log_q: Vec::new(),
            log_joint: Vec::new(),
        }
    }

    /// Adds the next `n_samples` log-weights to `to`.
    pub fn weigh(
        &mut self,
        joint: &mut JointRowEvaluator,
        n_samples: u64,
        to: &mut ImportanceWeightStats,
    ) -> Result<(), EstimateError> {
        let mut left = n_samples;
        while left > 0 {
            let n = left.min(DRAWS_PER_CHUNK);
            self.weigh_chunk(joint, n as usize, to)?;
            left -= n;
        }
        Ok(())
    }

    fn weigh_chunk(
        &mut self,
        joint: &mut JointRowEvaluator,
        n: usize,
        to: &mut ImportanceWeightStats,
    ) -> Result<(), EstimateError> {
        self.draw(n);
        self.log_joint.resize(n, 0.0);
        let wanted = JointOutputs {
            log_joint: Some(&mut self.log_joint),
            ..JointOutputs::default()
        };
        joint.evaluate(&vec![self.point; n], &self.z, wanted)?;
        let (dim, _) = self.q.latent_and_noise_dims();
        let places = self.z.chunks_exact(dim);
        for ((z, log_joint), log_q) in places.zip(&self.log_joint).zip(&self.log_q) {
            to.push(log_joint - self.log_density(z, *log_q));
        }
        Ok(())
    }

    /// Makes the next `n` draws, with `log q` at each.
    fn draw(&mut self, n: usize) {
        let (dim, noise_dim) = self.q.latent_and_noise_dims();
        let noise = T::from_f32_values(self.noise.normal_values(n, noise_dim));
        self.z.resize(n * dim, T::default());
        self.log_q.resize(n, 0.0);
        self.q
            .draw(self.point, &noise, &mut self.z, &mut self.log_q);
        let components = self.components.uniform_values(n, 1);
        let from_prior = |&s: &usize| f64::from(components[s]) < self.prior_share;
        let prior_draws: Vec<usize> = (0..n).filter(from_prior).collect();
        if prior_draws.is_empty() {
            return;
        }
        let normals = |&s: &usize| noise[s * noise_dim..][..dim].iter().copied();
        let places: Vec<T> = prior_draws.iter().flat_map(normals).collect();
        let log_q = self.q.log_density(self.point, &places);
        let places = places.chunks_exact(dim).zip(log_q);
        for (&s, (place, log_q)) in prior_draws.iter().zip(places) {
            self.z[s * dim..][..dim].copy_from_slice(place);
            self.log_q[s] = log_q;
        }
    }

    /// Returns `log ((1 − share) q(z) + share N(z; 0, I))`, nats.
    fn log_density(&self, z: &[T], log_q: f64) -> f64 {
        if self.prior_share == 0.0 {
            return log_q;
        }
        let q_term = log_q + (-self.prior_share).ln_1p();
        let log_prior = -0.5 * (sum_of_squares(z) + z.len() as f64 * TAU.ln());
        let prior_term = log_prior + self.prior_share.ln();
        let most = q_term.max(prior_term);
        most + ((q_term - most).exp() + (prior_term - most).exp()).ln()
    }
}
