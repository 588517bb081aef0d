//! The importance-weighted bound with as many draws as its error asks for.

use crate::annealed::{Anchor, sum_of_squares};
use crate::estimate::{Accumulator, Estimate, EstimateError};
use crate::importance::WeightedDraws;
use gap_data::Batch;
use gap_infer::{DiagonalGaussian, VariationalParams};
use gap_model::{JointRows, LatentVariableModel, WantedOfRows};
use gap_torch::{NoiseStream, SeedKey};
use std::time::Instant;
use tch::Device;

/// Draws that are evaluated together.
const CHUNK: u64 = 1024;

/// For each datapoint `K` is doubled until the standard error is below a target, or a cap is reached.
///
/// `K` is chosen on draws of its own, and the estimate made from as many others: a bound that stopped
/// where its own error happened to look small would not be one. That costs each draw twice.
///
/// With a share of draws from the prior, the proposal is `(1 − share) q + share p(z)` and every weight
/// is at most `p(x | z) / share`: a `q` that is narrower than the posterior somewhere cannot give a
/// weight without bound (the defensive mixture of Hesterberg 1995).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adaptive {
    /// The standard error to reach, nats.
    pub target_std_error_nats: f64,
    /// The least `K`.
    pub first_samples: u64,
    /// The largest `K`.
    pub most_samples: u64,
    /// The share of draws from the prior, from 0 to below 1.
    pub prior_share: f64,
}

impl Adaptive {
    /// One estimate for each datapoint, from draws of `key` and the datapoint's own.
    ///
    /// # Errors
    ///
    /// [`EstimateError`] if sizes do not fit.
    pub fn estimate(
        &self,
        model: &dyn LatentVariableModel,
        family: DiagonalGaussian,
        params: &VariationalParams,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<Vec<Estimate>, EstimateError> {
        let _no_grad = tch::no_grad_guard();
        let anchor = Anchor::of(family, params);
        let mut joint = JointRows::new(model, batch.x())?;
        let mut of_point = |(point, &id): (usize, &u64)| {
            let clock = Instant::now();
            let weights =
                |role: &str| Proposal::new(&anchor, point, id, self.prior_share, key.role(role));
            let n_samples = self.choose(&mut joint, weights("judge"))?;
            let mut reported = WeightedDraws::of(n_samples);
            weights("report").weigh(&mut joint, n_samples, &mut reported)?;
            let mut estimate = reported.finish();
            estimate.diagnostics.seconds = clock.elapsed().as_secs_f64();
            estimate.diagnostics.joint_evaluations = 2 * n_samples;
            Ok(estimate)
        };
        batch.ids().iter().enumerate().map(&mut of_point).collect()
    }

    /// The first `K`, doubled, whose standard error is small enough.
    fn choose(&self, joint: &mut JointRows, mut from: Proposal) -> Result<u64, EstimateError> {
        let mut weights = WeightedDraws::of(self.most_samples);
        let (mut n_samples, mut taken) = (self.first_samples, 0);
        loop {
            from.weigh(joint, n_samples - taken, &mut weights)?;
            taken = n_samples;
            let is_wide = weights.weights.std_error() > self.target_std_error_nats;
            if !is_wide || n_samples >= self.most_samples {
                return Ok(n_samples);
            }
            n_samples = (2 * n_samples).min(self.most_samples);
        }
    }
}

/// One datapoint's draws from `(1 − share) q + share N(0, I)`.
struct Proposal<'a> {
    q: &'a Anchor,
    prior: Anchor,
    point: usize,
    prior_share: f64,
    noise: NoiseStream,
    components: NoiseStream,
    z: Vec<f32>,
    log_joint: Vec<f64>,
}

impl<'a> Proposal<'a> {
    fn new(q: &'a Anchor, point: usize, id: u64, prior_share: f64, key: SeedKey) -> Self {
        let stream = |key: SeedKey| NoiseStream::new(key, &[id], Device::Cpu);
        Self {
            q,
            prior: Anchor::prior(1, q.latent_dim()),
            point,
            prior_share,
            noise: stream(key.role("noise")),
            components: stream(key.role("component")),
            z: Vec::new(),
            log_joint: Vec::new(),
        }
    }

    /// The next `n_samples` log-weights.
    fn weigh(
        &mut self,
        joint: &mut JointRows,
        n_samples: u64,
        to: &mut WeightedDraws,
    ) -> Result<(), EstimateError> {
        let mut left = n_samples;
        while left > 0 {
            let n = left.min(CHUNK);
            self.weigh_chunk(joint, n as usize, to)?;
            left -= n;
        }
        Ok(())
    }

    fn weigh_chunk(
        &mut self,
        joint: &mut JointRows,
        n: usize,
        to: &mut WeightedDraws,
    ) -> Result<(), EstimateError> {
        let dim = self.q.latent_dim();
        let noise = self.noise.normal_values(n, dim);
        let components = self.components.uniform_values(n, 1);
        self.z.resize(n * dim, 0.0);
        self.log_joint.resize(n, 0.0);
        let rows = self.z.chunks_exact_mut(dim).zip(noise.chunks_exact(dim));
        for ((z, noise), &component) in rows.zip(&components) {
            if f64::from(component) < self.prior_share {
                z.copy_from_slice(noise);
            } else {
                self.q.place(self.point, noise, z);
            }
        }
        let wanted = WantedOfRows {
            log_joint: Some(&mut self.log_joint),
            ..WantedOfRows::default()
        };
        joint.evaluate(&vec![self.point; n], &self.z, wanted)?;
        let mut w = vec![0.0; dim];
        for (z, log_joint) in self.z.chunks_exact(dim).zip(&self.log_joint) {
            to.push(log_joint - self.log_density(z, &mut w));
        }
        Ok(())
    }

    /// `log ((1 − share) q(z) + share N(z; 0, I))`, nats.
    fn log_density(&self, z: &[f32], w: &mut [f32]) -> f64 {
        self.q.whiten(self.point, z, w);
        let of_q = self.q.log_density(self.point, sum_of_squares(w)) + (-self.prior_share).ln_1p();
        if self.prior_share == 0.0 {
            return of_q;
        }
        let of_prior = self.prior.log_density(0, sum_of_squares(z)) + self.prior_share.ln();
        let most = of_q.max(of_prior);
        most + ((of_q - most).exp() + (of_prior - most).exp()).ln()
    }
}
