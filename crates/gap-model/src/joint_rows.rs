//! A model at fixed observations, evaluated at rows in slices instead of tensors, by the kernels or by
//! libtorch.
//!
//! Ascents and Hamiltonian chains keep their rows in slices. The kernels read these in place; for libtorch they
//! are copied to tensors, and the results are copied back.

use crate::conditioned::ConditionedModel;
use crate::float_number::FloatNumber;
use crate::model::LatentVariableModel;
use crate::model_error::ModelError;
use crate::standard_normal::log_prior_row;
use gap_kernel::{DecoderOutputs, FusedConditionedDecoder, Precision};
use gap_torch::{to_element_values, to_f64_values};
use tch::{Device, Kind, Tensor};

/// Where an evaluation writes its results. A result whose place is `None` is not computed.
#[derive(Debug)]
pub struct JointOutputs<'a, T> {
    /// `∇_z log p(x, z)`: `[N, D]`.
    pub score: Option<&'a mut [T]>,
    /// `log p(x, z)`, nats: `[N]`.
    pub log_joint: Option<&'a mut [f64]>,
    /// The precision of the products. It is always full if the log joint is asked for.
    pub precision: Precision,
}

impl<T> Default for JointOutputs<'_, T> {
    /// Asks for no results, in full precision.
    fn default() -> Self {
        Self {
            score: None,
            log_joint: None,
            precision: Precision::Full,
        }
    }
}

/// Evaluates `log p(x, ·)` and its gradient at fixed observations.
pub struct JointRowEvaluator<'a> {
    conditioned: Box<dyn ConditionedModel + 'a>,
    latent_dim: usize,
    kind: Kind,
    device: Device,
}

impl<'a> JointRowEvaluator<'a> {
    /// Conditions `model` on the rows of `x`, `[B, X]`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the axes do not fit the model.
    pub fn new(model: &'a dyn LatentVariableModel, x: &Tensor) -> Result<Self, ModelError> {
        Ok(Self {
            conditioned: model.condition(x)?,
            latent_dim: model.latent_dim() as usize,
            kind: model.kind(),
            device: model.device(),
        })
    }

    /// The latent dimension, `D`.
    pub const fn latent_dim(&self) -> usize {
        self.latent_dim
    }

    /// Whether the fused kernels do the computation in `f32`, rather than libtorch. They read rows in place, and can
    /// evaluate the likelihood without the prior.
    pub fn is_on_kernels(&self) -> bool {
        self.conditioned.kernel_decoder().is_some()
    }

    /// Returns an evaluator of the likelihood alone, without the prior; `None` if libtorch does the
    /// computation.
    pub fn likelihood_evaluator(&self) -> Option<LikelihoodRowEvaluator<'_>> {
        self.conditioned
            .kernel_decoder()
            .map(LikelihoodRowEvaluator)
    }

    /// Computes `outputs` for the rows of `z`, `[N, D]`; row `n` belongs to observation `observations[n]`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if libtorch does the computation, and the numbers of rows differ or an observation does
    /// not exist.
    ///
    /// # Panics
    ///
    /// If an output's length does not fit. On the kernels, the errors above are panics too.
    pub fn evaluate<T: FloatNumber>(
        &mut self,
        observations: &[usize],
        z: &[T],
        outputs: JointOutputs<'_, T>,
    ) -> Result<(), ModelError> {
        match (self.conditioned.kernel_decoder(), T::as_f32(z)) {
            (Some(decoder), Some(z)) => {
                let JointOutputs {
                    score,
                    log_joint,
                    precision,
                } = outputs;
                let outputs = JointOutputs {
                    score: score.and_then(T::as_f32_mut),
                    log_joint,
                    precision,
                };
                self.evaluate_on_kernels(decoder, observations, z, outputs);
                Ok(())
            }
            _ => self.evaluate_on_tensors(observations, z, outputs),
        }
    }

    fn evaluate_on_kernels(
        &self,
        decoder: &FusedConditionedDecoder,
        observations: &[usize],
        z: &[f32],
        outputs: JointOutputs<'_, f32>,
    ) {
        let JointOutputs {
            score,
            mut log_joint,
            precision,
        } = outputs;
        let precision = if log_joint.is_some() {
            Precision::Full
        } else {
            precision
        };
        let outputs = DecoderOutputs {
            score,
            log_likelihood: log_joint.as_deref_mut(),
            precision,
        };
        decoder.evaluate(observations, z, outputs);
        if let Some(values) = log_joint {
            for (value, z) in values.iter_mut().zip(z.chunks_exact(self.latent_dim)) {
                *value += log_prior_row(z);
            }
        }
    }

    fn evaluate_on_tensors<T: FloatNumber>(
        &mut self,
        observations: &[usize],
        z: &[T],
        outputs: JointOutputs<'_, T>,
    ) -> Result<(), ModelError> {
        let observations: Vec<i64> = observations.iter().map(|&row| row as i64).collect();
        let z = Tensor::from_slice(z)
            .view([-1, self.latent_dim as i64])
            .to_kind(self.kind)
            .to_device(self.device);
        let conditioned = &mut self.conditioned;
        match (outputs.score, outputs.log_joint) {
            (Some(score), Some(log_joint)) => {
                let both = conditioned.log_joint_and_score(&observations, &z)?;
                score.copy_from_slice(&to_element_values::<T>(&both.score));
                log_joint.copy_from_slice(&to_f64_values(&both.log_joint));
            }
            (Some(score), None) => {
                let scores = conditioned.score(&observations, &z)?;
                score.copy_from_slice(&to_element_values::<T>(&scores));
            }
            (None, Some(log_joint)) => {
                log_joint
                    .copy_from_slice(&to_f64_values(&conditioned.log_joint(&observations, &z)?));
            }
            (None, None) => {}
        }
        Ok(())
    }
}

/// Evaluates `log p(x | ·)` alone, without the standard-normal prior.
pub struct LikelihoodRowEvaluator<'a>(&'a FusedConditionedDecoder);

impl LikelihoodRowEvaluator<'_> {
    /// Writes `log p(x | z)`, nats, for rows as in [`JointRowEvaluator::evaluate`]: `[N], [N, D] -> [N]`.
    ///
    /// # Panics
    ///
    /// If lengths do not fit, or an observation does not exist.
    pub fn evaluate(&self, observations: &[usize], z: &[f32], log_likelihood: &mut [f64]) {
        let outputs = DecoderOutputs {
            log_likelihood: Some(log_likelihood),
            ..DecoderOutputs::default()
        };
        self.0.evaluate(observations, z, outputs);
    }
}
