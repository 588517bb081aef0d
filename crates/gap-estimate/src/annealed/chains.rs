//! Hamiltonian chains of a batch: several for each datapoint, all moved together.

use super::initial_gaussian::{InitialGaussian, WhitenedCoordinates, sum_of_squares};
use crate::estimate::EstimateError;
use gap_data::Batch;
use gap_model::{FloatNumber, JointOutputs, JointRowEvaluator, LatentVariableModel, Precision};
use gap_torch::{NoiseStream, SeedKey};

/// Each transition of a chain multiplies its step size by a random factor between this and 1. With a fixed
/// length, trajectories might always return to where they began in some direction (Neal 2011, §5.4.2.2).
const MIN_STEP_JITTER_FACTOR: f32 = 0.8;

/// The settings of Hamiltonian transitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HmcSettings {
    /// The number of leapfrog steps of a transition.
    pub leapfrog_steps: u32,
    /// The precision of the products in gradients. A leapfrog step with any force that depends only on the
    /// position preserves volume and can be reversed, so a transition leaves its distribution invariant at
    /// either precision. Energies always have full precision.
    pub precision: Precision,
}

/// The settings of one transition of all chains.
pub struct TransitionSettings<'a> {
    /// The inverse temperature of the distribution that the transition leaves invariant.
    pub beta: f64,
    /// The step size of each datapoint, `[B]`.
    pub step_sizes: &'a [f64],
}

/// `C` chains for each of `B` datapoints, in the coordinates of their initial Gaussian; row `c·B + b` is chain
/// `c` of datapoint `b`. Positions and momenta have the type `T`.
pub struct Chains<'a, T> {
    joint: JointRowEvaluator<'a>,
    initial: WhitenedCoordinates<T>,
    transitions: HmcSettings,
    noise: NoiseStream,
    points: Vec<usize>, // [C·B]
    current: ChainState<T>,
    proposed: ChainState<T>,
    momentum: Vec<T>, // [C·B, D]
    z: Vec<T>,        // [C·B, D]
    /// The acceptance probability of each proposal in the latest transition: `[C·B]`.
    acceptance: Vec<f64>,
}

/// The positions of chains, and the log joint and its gradient there.
#[derive(Clone)]
struct ChainState<T> {
    w: Vec<T>,           // [C·B, D]
    score: Vec<T>,       // ∇_w log p(x, z), [C·B, D]
    log_joint: Vec<f64>, // [C·B]
}

impl<T: FloatNumber> ChainState<T> {
    fn new_unevaluated(w: Vec<T>, n_rows: usize) -> Self {
        Self {
            score: vec![T::default(); w.len()],
            log_joint: vec![0.0; n_rows],
            w,
        }
    }
}

impl<'a, T: FloatNumber> Chains<'a, T> {
    /// Creates chains that begin at independent draws from their initial Gaussian.
    pub fn from_initial_draws(
        model: &'a dyn LatentVariableModel,
        initial: &InitialGaussian,
        batch: &Batch,
        n_chains: usize,
        transitions: HmcSettings,
        key: SeedKey,
    ) -> Result<Self, EstimateError> {
        let mut noise = NoiseStream::new(key, batch.ids(), tch::Device::Cpu);
        let initial = initial.coordinates::<T>();
        let w = T::from_f32_values(noise.normal_values(n_chains, initial.latent_dim()));
        Self::new_evaluated_at(model, initial, batch, w, transitions, noise)
    }

    /// Creates chains that all begin at the position of their datapoint in `z`, `[B, D]`.
    pub fn from_positions(
        model: &'a dyn LatentVariableModel,
        initial: &InitialGaussian,
        batch: &Batch,
        (z, n_chains): (&[T], usize),
        transitions: HmcSettings,
        key: SeedKey,
    ) -> Result<Self, EstimateError> {
        let noise = NoiseStream::new(key, batch.ids(), tch::Device::Cpu);
        let initial = initial.coordinates::<T>();
        let dim = initial.latent_dim();
        let mut w = vec![T::default(); z.len()];
        let places = w.chunks_exact_mut(dim).zip(z.chunks_exact(dim));
        for (point, (w, z)) in places.enumerate() {
            initial.whiten(point, z, w);
        }
        Self::new_evaluated_at(
            model,
            initial,
            batch,
            w.repeat(n_chains),
            transitions,
            noise,
        )
    }

    fn new_evaluated_at(
        model: &'a dyn LatentVariableModel,
        initial: WhitenedCoordinates<T>,
        batch: &Batch,
        w: Vec<T>,
        transitions: HmcSettings,
        noise: NoiseStream,
    ) -> Result<Self, EstimateError> {
        let (n_rows, n_points) = (w.len() / initial.latent_dim(), initial.n_points());
        let state = ChainState::new_unevaluated(w, n_rows);
        let mut chains = Self {
            joint: JointRowEvaluator::new(model, batch.x())?,
            transitions,
            noise,
            points: (0..n_rows).map(|row| row % n_points.max(1)).collect(),
            proposed: state.clone(),
            current: state,
            momentum: Vec::new(),
            z: vec![T::default(); n_rows * initial.latent_dim()],
            acceptance: vec![0.0; n_rows],
            initial,
        };
        chains.compute_proposal_log_joint()?;
        chains.compute_proposal_score()?;
        std::mem::swap(&mut chains.current, &mut chains.proposed);
        chains.proposed.w.copy_from_slice(&chains.current.w);
        Ok(chains)
    }

    /// The number of datapoints, `B`.
    pub const fn n_points(&self) -> usize {
        self.initial.n_points()
    }

    /// Returns `log p(x, z) − log q(z)` at each chain's position, where `q` is the initial Gaussian: `[C·B]`,
    /// nats.
    pub fn log_joint_to_initial_ratios(&self) -> impl Iterator<Item = f64> {
        let rows = self.current.w.chunks_exact(self.initial.latent_dim());
        let rows = rows.zip(&self.current.log_joint).zip(&self.points);
        rows.map(|((w, log_joint), &point)| {
            log_joint - self.initial.log_density(point, sum_of_squares(w))
        })
    }

    /// The acceptance probabilities of the latest transition: `[C·B]`.
    pub fn acceptance_probabilities(&self) -> &[f64] {
        &self.acceptance
    }

    /// Takes one transition of every chain by Hamiltonian Monte Carlo (Neal 2011, §5.3), which leaves
    /// `q^(1−β) p^β` invariant.
    pub fn advance(&mut self, settings: &TransitionSettings) -> Result<(), EstimateError> {
        let dim = self.initial.latent_dim();
        let n_chains = self.points.len() / self.n_points().max(1);
        self.momentum = T::from_f32_values(self.noise.normal_values(n_chains, dim));
        let uniforms = self.noise.uniform_values(n_chains, 2); // [C·B, 2]
        let before = self.hamiltonians(&self.current, settings.beta);
        self.proposed.w.copy_from_slice(&self.current.w);
        self.proposed.score.copy_from_slice(&self.current.score);
        let steps: Vec<T> = (self.points.iter().zip(uniforms.chunks_exact(2)))
            .map(|(&point, u)| {
                let jitter = MIN_STEP_JITTER_FACTOR + (1.0 - MIN_STEP_JITTER_FACTOR) * u[0];
                T::from_f64(settings.step_sizes[point]) * T::from_f64(f64::from(jitter))
            })
            .collect();
        self.kick_momenta(&steps, 0.5, settings.beta);
        for step in 1..=self.transitions.leapfrog_steps {
            self.drift_positions(&steps);
            self.compute_proposal_score()?;
            let is_last = step == self.transitions.leapfrog_steps;
            self.kick_momenta(&steps, if is_last { 0.5 } else { 1.0 }, settings.beta);
        }
        self.compute_proposal_log_joint()?;
        let after = self.hamiltonians(&self.proposed, settings.beta);
        for row in 0..self.points.len() {
            let gain = before[row] - after[row];
            // A trajectory whose energy difference is NaN is rejected.
            let log_acceptance = if gain.is_nan() {
                f64::NEG_INFINITY
            } else {
                gain
            };
            self.acceptance[row] = log_acceptance.min(0.0).exp();
            if f64::from(uniforms[2 * row + 1]).ln() < log_acceptance {
                self.accept_proposal(row);
            }
        }
        Ok(())
    }

    fn accept_proposal(&mut self, row: usize) {
        let dim = self.initial.latent_dim();
        let own = row * dim..(row + 1) * dim;
        let (to, from) = (&mut self.current, &self.proposed);
        to.w[own.clone()].copy_from_slice(&from.w[own.clone()]);
        to.score[own.clone()].copy_from_slice(&from.score[own]);
        to.log_joint[row] = from.log_joint[row];
    }

    /// Returns `−log f_β(w) + ½ |momentum|²`, up to a constant for each datapoint.
    fn hamiltonians(&self, state: &ChainState<T>, beta: f64) -> Vec<f64> {
        let dim = self.initial.latent_dim();
        let places = state.w.chunks_exact(dim).zip(&state.log_joint);
        let rows = places.zip(self.momentum.chunks_exact(dim));
        rows.map(|((w, log_joint), momentum)| {
            let potential = 0.5 * (1.0 - beta) * sum_of_squares(w) - beta * log_joint;
            potential + 0.5 * sum_of_squares(momentum)
        })
        .collect()
    }

    /// Changes the momenta by `part` of a step along the gradient of `log f_β` in `w`:
    /// `−(1 − β) w + β ∇_w log p(x, z)`.
    fn kick_momenta(&mut self, steps: &[T], part: f64, beta: f64) {
        let dim = self.initial.latent_dim();
        let places = self
            .proposed
            .w
            .chunks_exact(dim)
            .zip(self.proposed.score.chunks_exact(dim));
        let rows = self.momentum.chunks_exact_mut(dim).zip(places);
        let (part, beta) = (T::from_f64(part), T::from_f64(beta));
        for ((momentum, (w, score)), &step) in rows.zip(steps) {
            let anchor_part = -part * step * (T::from_f64(1.0) - beta);
            let joint_part = part * step * beta;
            for i in 0..dim {
                momentum[i] += anchor_part * w[i] + joint_part * score[i];
            }
        }
    }

    fn drift_positions(&mut self, steps: &[T]) {
        let dim = self.initial.latent_dim();
        let rows = self
            .proposed
            .w
            .chunks_exact_mut(dim)
            .zip(self.momentum.chunks_exact(dim));
        for ((w, momentum), &step) in rows.zip(steps) {
            for i in 0..dim {
                w[i] += step * momentum[i];
            }
        }
    }

    fn unwhiten_proposal(&mut self) {
        let dim = self.initial.latent_dim();
        let rows = self
            .z
            .chunks_exact_mut(dim)
            .zip(self.proposed.w.chunks_exact(dim));
        for ((z, w), &point) in rows.zip(&self.points) {
            self.initial.unwhiten(point, w, z);
        }
    }

    fn compute_proposal_score(&mut self) -> Result<(), EstimateError> {
        self.unwhiten_proposal();
        let wanted = JointOutputs {
            score: Some(&mut self.proposed.score),
            log_joint: None,
            precision: self.transitions.precision,
        };
        self.joint.evaluate(&self.points, &self.z, wanted)?;
        let rows = self
            .proposed
            .score
            .chunks_exact_mut(self.initial.latent_dim());
        for (score, &point) in rows.zip(&self.points) {
            self.initial.pull_back(point, score);
        }
        Ok(())
    }

    fn compute_proposal_log_joint(&mut self) -> Result<(), EstimateError> {
        self.unwhiten_proposal();
        let wanted = JointOutputs {
            log_joint: Some(&mut self.proposed.log_joint),
            ..JointOutputs::default()
        };
        Ok(self.joint.evaluate(&self.points, &self.z, wanted)?)
    }
}
