//! Streams log-weights to the estimators in chunks, so that they take the same memory for any number of
//! draws.

use crate::estimate::{Accumulator, Estimate, EstimateError, PosteriorEstimator};
use crate::log_weights::LogWeights;
use gap_data::Batch;
use gap_infer::{VariationalFamily, VariationalParams};
use gap_model::LatentVariableModel;
use gap_torch::{NoiseStream, SeedKey};
use std::time::Instant;
use tch::Device;

/// A `q` for each datapoint of a batch, and the estimators that are applied to it.
#[derive(Clone, Copy)]
pub struct EstimationTask<'a> {
    /// The parameters of each `q`.
    pub params: &'a VariationalParams,
    /// The estimators.
    pub estimators: &'a [&'a dyn PosteriorEstimator],
}

/// Returns, for each estimator, one estimate for each datapoint of the batch, all from the same draws.
///
/// An estimator that asks for `n` draws gets the first `n` of the datapoint's stream. Two calls with the same
/// key use the same noise, whatever `q` is, so that differences between methods are paired. The draws and the
/// arithmetic of a datapoint do not depend on the batch.
///
/// # Errors
///
/// [`EstimateError`] if sizes do not fit.
pub fn estimate_all(
    model: &dyn LatentVariableModel,
    family: &dyn VariationalFamily,
    params: &VariationalParams,
    batch: &Batch,
    estimators: &[&dyn PosteriorEstimator],
    key: SeedKey,
) -> Result<Vec<Vec<Estimate>>, EstimateError> {
    let task = EstimationTask { params, estimators };
    let mut estimates = estimate_each(model, family, &[task], batch, key)?;
    Ok(estimates.remove(0))
}

/// Returns for each of `tasks` what [`estimate_all`] would, but makes the noise that they share only once.
///
/// # Errors
///
/// [`EstimateError`] if sizes do not fit.
pub fn estimate_each(
    model: &dyn LatentVariableModel,
    family: &dyn VariationalFamily,
    tasks: &[EstimationTask<'_>],
    batch: &Batch,
    key: SeedKey,
) -> Result<Vec<Vec<Vec<Estimate>>>, EstimateError> {
    let _no_grad = tch::no_grad_guard();
    let tasks = tasks.iter();
    let mut running = tasks
        .map(|&task| RunningTask::new(model, family, task, batch))
        .collect::<Result<Vec<RunningTask<'_>>, EstimateError>>()?;
    let mut noise = NoiseStream::new(key, batch.ids(), Device::Cpu);
    let most = running.iter().map(|task| task.most).max().unwrap_or(0);
    let chunk = running.iter().map(|t| t.log_weights.samples_per_chunk());
    let chunk = chunk.min().unwrap_or(1);
    let mut done = 0;
    while done < most {
        let n_samples = chunk.min(most - done);
        let clock = Instant::now();
        let noise = noise.normal_values(n_samples as usize, family.noise_dim() as usize);
        let shared_seconds = clock.elapsed().as_secs_f64() / running.len() as f64;
        for task in &mut running {
            let wanted = n_samples.min(task.most.saturating_sub(done));
            if wanted > 0 {
                let n_normals = noise.len() / n_samples as usize * wanted as usize;
                task.add_draws(done, &noise[..n_normals])?;
            }
            task.seconds += shared_seconds;
        }
        done += n_samples;
    }
    Ok(running.into_iter().map(RunningTask::finish).collect())
}

/// An [`EstimationTask`] on its way through the draws.
struct RunningTask<'a> {
    log_weights: LogWeights<'a>,
    estimators: &'a [&'a dyn PosteriorEstimator],
    accumulators: Vec<Vec<Box<dyn Accumulator>>>,
    n_points: usize,
    /// The most draws that one of its estimators asks for.
    most: u64,
    seconds: f64,
}

impl<'a> RunningTask<'a> {
    fn new(
        model: &'a dyn LatentVariableModel,
        family: &'a dyn VariationalFamily,
        task: EstimationTask<'a>,
        batch: &'a Batch,
    ) -> Result<Self, EstimateError> {
        let clock = Instant::now();
        let estimators = task.estimators;
        let n_points = batch.len();
        let accumulators = |estimator: &&dyn PosteriorEstimator| {
            (0..n_points).map(|_| estimator.accumulator()).collect()
        };
        Ok(Self {
            log_weights: LogWeights::new(model, family, task.params, batch)?,
            accumulators: estimators.iter().map(accumulators).collect(),
            most: estimators.iter().map(|e| e.n_samples()).max().unwrap_or(0),
            estimators,
            n_points,
            seconds: clock.elapsed().as_secs_f64(),
        })
    }

    /// Adds the draws at `noise`, `[S, B, N]`, after `done` others.
    fn add_draws(&mut self, done: u64, noise: &[f32]) -> Result<(), EstimateError> {
        let clock = Instant::now();
        let log_weights = self.log_weights.at(noise)?;
        for (s, row) in log_weights.chunks_exact(self.n_points).enumerate() {
            for (estimator, accumulators) in self.estimators.iter().zip(&mut self.accumulators) {
                if done + (s as u64) < estimator.n_samples() {
                    for (accumulator, &log_weight) in accumulators.iter_mut().zip(row) {
                        accumulator.push(log_weight);
                    }
                }
            }
        }
        self.seconds += clock.elapsed().as_secs_f64();
        Ok(())
    }

    fn finish(self) -> Vec<Vec<Estimate>> {
        let clock = Instant::now();
        let mut estimates: Vec<Vec<Estimate>> = self
            .accumulators
            .iter()
            .map(|points| points.iter().map(|point| point.finish()).collect())
            .collect();
        let seconds = self.seconds + clock.elapsed().as_secs_f64();
        for estimate in estimates.iter_mut().flatten() {
            estimate.diagnostics.seconds = seconds / self.n_points as f64;
        }
        estimates
    }
}
