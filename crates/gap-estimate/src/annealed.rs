//! Annealed importance sampling: a lower bound of `log p(x)` in expectation, and an upper bound where a draw
//! of the posterior is known.
//!
//! A path of distributions `f_β = q^(1−β) p(x, ·)^β` leads from an initial `q` (`β = 0`) to the joint
//! (`β = 1`). A chain that begins at a draw of `q` and takes one transition at each temperature has a weight
//! whose mean is `p(x)`, however badly it mixes (Neal 2001, "Annealed Importance Sampling"). So the log of a
//! mean of weights is below `log p(x)` on average. A chain that walks the path backwards from a draw of the
//! posterior has a weight whose mean is `1 / p(x)`, so minus the log of a mean of such weights is above
//! `log p(x)` on average (Grosse, Ghahramani and Adams 2015; Wu et al. 2017). The path from a fitted `q` is
//! much shorter than that from the prior.

mod chains;
mod initial_gaussian;
mod step_sizes;

pub use chains::HmcSettings;
pub(crate) use initial_gaussian::sum_of_squares;
pub use initial_gaussian::{InitialGaussian, WhitenedCoordinates};

use crate::elbo::MeanAndVariance;
use crate::estimate::{Accumulator, Estimate, EstimateError};
use crate::log_mean_exp::LogMeanExp;
use chains::{Chains, TransitionSettings};
use gap_data::Batch;
use gap_model::{FloatNumber, LatentVariableModel};
use gap_spec::{Diagnostics, Trust};
use gap_torch::SeedKey;
use std::time::Instant;
use step_sizes::{adapt_step_sizes, evaluations_per_transition};
use tch::Kind;

/// The lowest mean acceptance probability that is trusted. Below it, chains may hardly have moved along the
/// path.
const MIN_TRUSTED_ACCEPTANCE: f64 = 0.4;

/// Below this ratio of effective to actual chains the standard error is not trusted, since it rests on a few
/// weights. With log-weights that are skewed to the right, 95% intervals of 16 chains contain the mean in at
/// least 92% of cases above this ratio, and in fewer below it.
const MIN_TRUSTED_EFFECTIVE_SHARE: f64 = 2.0 / 3.0;

/// The number of transitions at `β = 1` before reverse chains enter the path. All chains of a datapoint begin
/// at one draw of its posterior. These transitions make them less alike, while each stays a draw of the
/// posterior.
const REVERSE_DECORRELATION_TRANSITIONS: u32 = 20;

/// The settings of an annealing path.
#[derive(Clone, Debug, PartialEq)]
pub struct Annealing {
    /// The inverse temperatures, rising from 0 to 1, both included.
    pub inverse_temperatures: Vec<f64>,
    /// The number of chains for each datapoint, `C`.
    pub n_chains: usize,
    /// How transitions are made; there is one at each temperature between the ends.
    pub transitions: HmcSettings,
    /// The step size in units of the initial Gaussian's standard deviations; `None` to find one for each
    /// datapoint.
    pub step_size: Option<f64>,
}

/// Called with the fraction that is done.
pub type Progress<'a> = &'a dyn Fn(f64);

impl Annealing {
    /// Estimates `log p(x)` of each datapoint from below, by chains that begin at draws of `initial`.
    ///
    /// A datapoint's draws depend only on `key` and its id, so no estimate depends on the rest of the batch.
    ///
    /// # Errors
    ///
    /// [`EstimateError`] if sizes do not fit.
    ///
    /// # Panics
    ///
    /// If the inverse temperatures do not rise from 0 to 1.
    pub fn forward(
        &self,
        model: &dyn LatentVariableModel,
        initial: &InitialGaussian,
        batch: &Batch,
        key: SeedKey,
        progress: Progress,
    ) -> Result<Vec<Estimate>, EstimateError> {
        match model.kind() {
            Kind::Double => self.typed_forward::<f64>(model, initial, batch, key, progress),
            _ => self.typed_forward::<f32>(model, initial, batch, key, progress),
        }
    }

    fn typed_forward<T: FloatNumber>(
        &self,
        model: &dyn LatentVariableModel,
        initial: &InitialGaussian,
        batch: &Batch,
        key: SeedKey,
        progress: Progress,
    ) -> Result<Vec<Estimate>, EstimateError> {
        let clock = Instant::now();
        let _no_grad = tch::no_grad_guard();
        self.assert_temperatures_rise();
        let step_sizes = self.step_sizes::<T>(model, initial, batch, key)?;
        let (n, transitions) = (self.n_chains, self.transitions);
        let key = key.for_role("forward");
        let chains: Chains<T> =
            Chains::from_initial_draws(model, initial, batch, n, transitions, key)?;
        let mut run = AnnealingRun::new(chains, step_sizes);
        for (t, pair) in self.inverse_temperatures.windows(2).enumerate() {
            run.add_log_weight_increments(pair[1] - pair[0]);
            if pair[1] < 1.0 {
                run.advance(pair[1])?;
            }
            progress((t + 2) as f64 / self.inverse_temperatures.len() as f64);
        }
        Ok(self.estimates(&run, 1.0, clock))
    }

    /// Estimates `log p(x)` of each datapoint from above, by chains that begin at `z` (`[B, D]`): for each
    /// datapoint, a draw of its posterior, such as the latent variables that `x` was drawn with.
    ///
    /// The standard error is from the spread between chains, which all begin at this one draw.
    ///
    /// # Errors
    ///
    /// [`EstimateError`] if sizes do not fit.
    ///
    /// # Panics
    ///
    /// If the inverse temperatures do not rise from 0 to 1.
    pub fn reverse<Z: FloatNumber>(
        &self,
        model: &dyn LatentVariableModel,
        initial: &InitialGaussian,
        batch_and_z: (&Batch, &[Z]),
        key: SeedKey,
        progress: Progress,
    ) -> Result<Vec<Estimate>, EstimateError> {
        match model.kind() {
            Kind::Double => {
                self.typed_reverse::<f64, Z>(model, initial, batch_and_z, key, progress)
            }
            _ => self.typed_reverse::<f32, Z>(model, initial, batch_and_z, key, progress),
        }
    }

    fn typed_reverse<T: FloatNumber, Z: FloatNumber>(
        &self,
        model: &dyn LatentVariableModel,
        initial: &InitialGaussian,
        (batch, z): (&Batch, &[Z]),
        key: SeedKey,
        progress: Progress,
    ) -> Result<Vec<Estimate>, EstimateError> {
        let clock = Instant::now();
        let _no_grad = tch::no_grad_guard();
        self.assert_temperatures_rise();
        let step_sizes = self.step_sizes::<T>(model, initial, batch, key)?;
        let z: Vec<T> = z.iter().map(|&z| T::from_f64(z.to_f64())).collect();
        let places = (z.as_slice(), self.n_chains);
        let key = key.for_role("reverse");
        let chains = Chains::from_positions(model, initial, batch, places, self.transitions, key)?;
        let mut run = AnnealingRun::new(chains, step_sizes);
        for _ in 0..REVERSE_DECORRELATION_TRANSITIONS {
            run.advance(1.0)?;
        }
        for (t, pair) in self.inverse_temperatures.windows(2).rev().enumerate() {
            run.add_log_weight_increments(pair[0] - pair[1]);
            if pair[0] > 0.0 {
                run.advance(pair[0])?;
            }
            progress((t + 2) as f64 / self.inverse_temperatures.len() as f64);
        }
        Ok(self.estimates(&run, -1.0, clock))
    }

    fn step_sizes<T: FloatNumber>(
        &self,
        model: &dyn LatentVariableModel,
        initial: &InitialGaussian,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<Vec<f64>, EstimateError> {
        match self.step_size {
            Some(step_size) => Ok(vec![step_size; initial.n_points()]),
            None => adapt_step_sizes::<T>(model, initial, batch, self.transitions, key),
        }
    }

    fn assert_temperatures_rise(&self) {
        let betas = &self.inverse_temperatures;
        let rises = betas.is_sorted_by(|a, b| a < b);
        let ends = [betas.first(), betas.last()] == [Some(&0.0), Some(&1.0)];
        assert!(rises && ends, "inverse temperatures rise from 0 to 1");
    }

    /// Returns the estimate `sign · log (1/C) Σ w` of each datapoint.
    fn estimates<T: FloatNumber>(
        &self,
        run: &AnnealingRun<T>,
        sign: f64,
        clock: Instant,
    ) -> Vec<Estimate> {
        let seconds = clock.elapsed().as_secs_f64() / run.chains.n_points().max(1) as f64;
        let per_chain = 2 + run.n_transitions * evaluations_per_transition(self.transitions);
        let joint_evaluations = step_sizes::n_adaptation_evaluations(self.transitions)
            + self.n_chains as u64 * per_chain;
        let estimate_point = |(point, chains): (usize, ChainWeights)| {
            let value_nats = sign * chains.weights.value();
            let effective = chains.weights.effective_sample_size();
            let acceptance = run.mean_acceptance(point);
            let trust = if !value_nats.is_finite() {
                Trust::NonFinite
            } else if acceptance.is_some_and(|rate| rate < MIN_TRUSTED_ACCEPTANCE) {
                Trust::LowAcceptance
            } else if effective < MIN_TRUSTED_EFFECTIVE_SHARE * self.n_chains as f64 {
                Trust::FewEffectiveSamples
            } else {
                Trust::Ok
            };
            Estimate {
                value_nats,
                std_error_nats: chains.std_error(),
                trust,
                n_samples: self.n_chains as u64,
                diagnostics: Diagnostics {
                    effective_samples: Some(effective),
                    acceptance,
                    step_size: Some(run.step_sizes[point]),
                    n_temperatures: Some(self.inverse_temperatures.len() as u32),
                    seconds,
                    joint_evaluations,
                    ..Diagnostics::default()
                },
            }
        };
        run.weights_per_point()
            .into_iter()
            .enumerate()
            .map(estimate_point)
            .collect()
    }
}

/// The weights of one datapoint's chains.
#[derive(Clone, Default)]
struct ChainWeights {
    weights: LogMeanExp,
    logs: MeanAndVariance,
}

impl ChainWeights {
    fn push(&mut self, log_weight: f64) {
        self.weights.push(log_weight);
        self.logs.push(log_weight);
    }

    /// Returns the standard error of the log of the mean weight: the delta method's, or `√((e^v − 1) / C)`,
    /// that of normal log-weights with the sample variance `v`, whichever is larger.
    ///
    /// A log-weight is a sum of many increments, hence nearly normal. A few weights usually miss the largest
    /// ones that their distribution has, so the delta method's error is too small.
    fn std_error(&self) -> f64 {
        let normal_error = (self.logs.variance().exp_m1() / self.weights.count() as f64).sqrt();
        self.weights.std_error().max(normal_error)
    }
}

/// Chains on their way along a path, with their log-weights and acceptance probabilities so far.
struct AnnealingRun<'a, T> {
    chains: Chains<'a, T>,
    step_sizes: Vec<f64>,
    log_weights: Vec<f64>, // [C·B]
    accepted: Vec<f64>,    // summed over chains and transitions, [B]
    n_transitions: u64,
}

impl<'a, T: FloatNumber> AnnealingRun<'a, T> {
    fn new(chains: Chains<'a, T>, step_sizes: Vec<f64>) -> Self {
        Self {
            log_weights: vec![0.0; chains.acceptance_probabilities().len()],
            accepted: vec![0.0; chains.n_points()],
            n_transitions: 0,
            chains,
            step_sizes,
        }
    }

    /// Adds `by · log (p(x, z) / q(z))` to each log-weight, with each chain where it is: the change of
    /// `log f_β` when `β` changes by `by`, which is negative on the way back.
    fn add_log_weight_increments(&mut self, by: f64) {
        for (weight, ratio) in self
            .log_weights
            .iter_mut()
            .zip(self.chains.log_joint_to_initial_ratios())
        {
            *weight += by * ratio;
        }
    }

    fn advance(&mut self, beta: f64) -> Result<(), EstimateError> {
        let step_sizes = &self.step_sizes;
        self.chains
            .advance(&TransitionSettings { beta, step_sizes })?;
        self.n_transitions += 1;
        let n_points = self.accepted.len();
        for (row, accepted) in self.chains.acceptance_probabilities().iter().enumerate() {
            self.accepted[row % n_points] += accepted;
        }
        Ok(())
    }

    /// Returns the mean acceptance probability of a datapoint, or `None` without transitions.
    fn mean_acceptance(&self, point: usize) -> Option<f64> {
        let n_chains = self.log_weights.len() / self.accepted.len();
        let n = self.n_transitions * n_chains as u64;
        (n > 0).then(|| self.accepted[point] / n as f64)
    }

    /// The weights of each datapoint's chains, `[B]`.
    fn weights_per_point(&self) -> Vec<ChainWeights> {
        let mut weights = vec![ChainWeights::default(); self.accepted.len()];
        let n_points = weights.len();
        for (row, &weight) in self.log_weights.iter().enumerate() {
            weights[row % n_points].push(weight);
        }
        weights
    }
}
