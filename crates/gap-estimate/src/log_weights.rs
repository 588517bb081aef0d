//! `log p(x, z) − log q(z)` at draws from `q`: in plain memory if model and family allow it, otherwise in
//! tensors.

use crate::estimate::EstimateError;
use gap_data::Batch;
use gap_infer::{DiagonalGaussian, VariationalFamily, VariationalParams};
use gap_model::{JointRowEvaluator, LatentVariableModel};
use gap_torch::{to_f32_values, to_f64_values};
use tch::Tensor;

/// About the number of rows in a chunk of draws in tensors.
///
/// A decoder takes any number of rows in blocks that stay in cache. So this bounds only the memory of the
/// draws themselves: 16 MB at 256 dimensions.
const TENSOR_CHUNK_ROWS: usize = 16_384;

/// The number of rows in a chunk in plain memory, which is reused and so stays in cache.
const CACHED_CHUNK_ROWS: usize = 1024;

/// The log-weights of a batch's datapoints, computed chunk by chunk.
pub struct LogWeights<'a> {
    n_points: usize,
    source: LogWeightSource<'a>,
}

enum LogWeightSource<'a> {
    Rows(DiagonalGaussianLogWeights<'a>),
    Tensors {
        model: &'a dyn LatentVariableModel,
        family: &'a dyn VariationalFamily,
        params: &'a VariationalParams,
        x: &'a Tensor,
    },
}

impl<'a> LogWeights<'a> {
    /// Creates the log-weights of `q(z; params)` at the observations of `batch`.
    pub fn new(
        model: &'a dyn LatentVariableModel,
        family: &'a dyn VariationalFamily,
        params: &'a VariationalParams,
        batch: &'a Batch,
    ) -> Result<Self, EstimateError> {
        let rows = DiagonalGaussianLogWeights::new(model, family, params, batch)?;
        Ok(Self {
            n_points: batch.len(),
            source: rows.map_or(
                LogWeightSource::Tensors {
                    model,
                    family,
                    params,
                    x: batch.x(),
                },
                LogWeightSource::Rows,
            ),
        })
    }

    /// Returns the number of samples of each datapoint in a chunk.
    pub const fn samples_per_chunk(&self) -> u64 {
        let rows = match self.source {
            LogWeightSource::Rows(_) => CACHED_CHUNK_ROWS,
            LogWeightSource::Tensors { .. } => TENSOR_CHUNK_ROWS,
        };
        let n_points = if self.n_points == 0 { 1 } else { self.n_points };
        let n_samples = rows / n_points;
        if n_samples == 0 { 1 } else { n_samples as u64 }
    }

    /// Returns the log-weights of the draws at `noise`, which is `[S, B, N]`: `[S, B]`, nats.
    pub fn at(&mut self, noise: &[f32]) -> Result<Vec<f64>, EstimateError> {
        match &mut self.source {
            LogWeightSource::Rows(rows) => Ok(rows.at(noise)),
            LogWeightSource::Tensors {
                model,
                family,
                params,
                x,
            } => {
                let noise = Tensor::from_slice(noise)
                    .view([-1, self.n_points as i64, family.noise_dim()])
                    .to_device(x.device());
                let draws = family.transform(params, &noise);
                let log_weights = model.log_joint(x, &draws.z)? - draws.log_q;
                Ok(to_f64_values(&log_weights))
            }
        }
    }
}

/// Log-weights of a diagonal Gaussian, under a model that evaluates its likelihood separately from its
/// standard-normal prior.
struct DiagonalGaussianLogWeights<'a> {
    joint: JointRowEvaluator<'a>,
    family: DiagonalGaussian,
    params: Vec<f32>,         // [B, 2D]
    log_std_sums: Vec<f64>,   // [B]
    observations: Vec<usize>, // [S·B]
    std: Vec<f32>,
    z: Vec<f32>,
    log_likelihood: Vec<f64>,
}

impl<'a> DiagonalGaussianLogWeights<'a> {
    /// Returns `None` if the family or the model needs tensors.
    fn new(
        model: &'a dyn LatentVariableModel,
        family: &dyn VariationalFamily,
        params: &VariationalParams,
        batch: &Batch,
    ) -> Result<Option<Self>, EstimateError> {
        let Some(family) = family.as_diagonal_gaussian() else {
            return Ok(None);
        };
        let joint = JointRowEvaluator::new(model, batch.x())?;
        if joint.likelihood_evaluator().is_none() {
            return Ok(None);
        }
        let params = to_f32_values(&params.0);
        let dim = family.latent_dim() as usize;
        let log_std_sum = |row: &[f32]| row[dim..].iter().map(|&r| f64::from(r)).sum();
        Ok(Some(Self {
            joint,
            family,
            log_std_sums: params.chunks_exact(2 * dim).map(log_std_sum).collect(),
            params,
            observations: Vec::new(),
            std: Vec::new(),
            z: Vec::new(),
            log_likelihood: Vec::new(),
        }))
    }

    /// Returns log-weights, as [`LogWeights::at`].
    ///
    /// With `z = μ + σ ∘ ε` the normalisers of prior and `q` cancel:
    /// `log p(z) − log q(z) = ½ Σ (ε² − z²) + Σ log σ`.
    fn at(&mut self, noise: &[f32]) -> Vec<f64> {
        let dim = self.family.latent_dim() as usize;
        let n_points = self.log_std_sums.len();
        let n_rows = noise.len() / dim;
        let (std, z) = (&mut self.std, &mut self.z);
        self.family.transform_rows(&self.params, noise, std, z);
        self.observations.clear();
        self.observations
            .extend((0..n_rows).map(|row| row % n_points));
        self.log_likelihood.resize(n_rows, 0.0);
        let likelihood = self.joint.likelihood_evaluator();
        let likelihood = likelihood.expect("it was there when this was made");
        likelihood.evaluate(&self.observations, &self.z, &mut self.log_likelihood);
        let rows = noise.chunks_exact(dim).zip(self.z.chunks_exact(dim));
        let weights = rows.zip(&self.log_likelihood).zip(&self.observations);
        weights
            .map(|(((noise, z), log_likelihood), &observation)| {
                let squares = noise.iter().zip(z);
                let squares = squares.map(|(&e, &z)| f64::from(e).powi(2) - f64::from(z).powi(2));
                log_likelihood + 0.5 * squares.sum::<f64>() + self.log_std_sums[observation]
            })
            .collect()
    }
}
