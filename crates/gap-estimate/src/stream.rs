//! Streams log-weights past the estimators, in chunks whose memory does not grow with their number.

use crate::estimate::{Accumulator, Estimate, EstimateError, PosteriorEstimator};
use gap_data::Batch;
use gap_infer::{VariationalFamily, VariationalParams};
use gap_model::LatentVariableModel;
use gap_torch::{NoiseStream, SeedKey};
use tch::{Device, Kind};

/// Rows that are drawn and weighed at once: so many that what surrounds the model costs little, so
/// few that their memory does not matter. Models go through them in smaller parts.
const CHUNK_ROWS: i64 = 16_384;

/// For each estimator, one estimate for each datapoint of the batch, all from the same draws.
///
/// An estimator that asks for `n` draws gets the first `n` of the datapoint's stream. Two calls with
/// one key share their noise, whatever `q` is, so that differences between methods are paired. The
/// draws and the arithmetic of a datapoint do not depend on the batch.
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
    let _no_grad = tch::no_grad_guard();
    let n_points = batch.len();
    let mut accumulators: Vec<Vec<Box<dyn Accumulator>>> = estimators
        .iter()
        .map(|estimator| (0..n_points).map(|_| estimator.accumulator()).collect())
        .collect();
    let most = estimators.iter().map(|e| e.n_samples()).max().unwrap_or(0);
    let mut noise = NoiseStream::new(key, batch.ids(), batch.x().device());
    let chunk = (CHUNK_ROWS / n_points.max(1) as i64).max(1) as u64;
    let mut done = 0;
    while done < most {
        let n_samples = chunk.min(most - done);
        let draws = family.sample(params, n_samples as i64, &mut noise);
        let log_weights = model.log_joint(batch.x(), &draws.z)? - draws.log_q; // [S, B]
        let flat = log_weights
            .to_device(Device::Cpu)
            .to_kind(Kind::Double)
            .contiguous()
            .view([-1]);
        let flat = Vec::<f64>::try_from(flat).expect("log-weights are doubles");
        for (s, row) in flat.chunks_exact(n_points).enumerate() {
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
    Ok(accumulators
        .iter()
        .map(|points| {
            points
                .iter()
                .map(|accumulator| accumulator.finish())
                .collect()
        })
        .collect())
}
