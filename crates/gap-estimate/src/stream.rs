//! Streams log-weights to the estimators in chunks, so that they take the same memory for any number of
//! draws.

use crate::estimate::{Accumulator, Estimate, EstimateError, PosteriorEstimator};
use crate::log_weights::LogWeights;
use gap_data::Batch;
use gap_infer::{VariationalFamily, VariationalParams};
use gap_model::LatentVariableModel;
use gap_torch::SeedKey;
use std::time::Instant;

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
    let clock = Instant::now();
    let _no_grad = tch::no_grad_guard();
    let n_points = batch.len();
    let mut accumulators: Vec<Vec<Box<dyn Accumulator>>> = estimators
        .iter()
        .map(|estimator| (0..n_points).map(|_| estimator.accumulator()).collect())
        .collect();
    let most = estimators.iter().map(|e| e.n_samples()).max().unwrap_or(0);
    let mut log_weights = LogWeights::new(model, family, params, batch, key)?;
    let chunk = log_weights.samples_per_chunk();
    let mut done = 0;
    while done < most {
        let n_samples = chunk.min(most - done);
        let chunk = log_weights.next(n_samples)?;
        for (s, row) in chunk.chunks_exact(n_points).enumerate() {
            for (estimator, accumulators) in estimators.iter().zip(&mut accumulators) {
                if done + (s as u64) < estimator.n_samples() {
                    for (accumulator, &log_weight) in accumulators.iter_mut().zip(row) {
                        accumulator.push(log_weight);
                    }
                }
            }
        }
        done += n_samples;
    }
    let seconds = clock.elapsed().as_secs_f64() / n_points.max(1) as f64;
    let finish = |accumulator: &dyn Accumulator| {
        let mut estimate = accumulator.finish();
        estimate.diagnostics.seconds = seconds;
        estimate
    };
    let estimates = |points: &Vec<Box<dyn Accumulator>>| {
        let points = points.iter();
        points
            .map(|accumulator| finish(accumulator.as_ref()))
            .collect()
    };
    Ok(accumulators.iter().map(estimates).collect())
}
