//! Exact values, where the model's posterior is a known Gaussian: the truth that estimates are compared with.

use crate::estimate::EstimateError;
use gap_infer::{ClosedFormGaussianFamily, VariationalParams};
use gap_model::ExactPosterior;
use gap_torch::to_f64_values;
use tch::Tensor;

/// The closed forms of a model for one batch.
pub struct ClosedForms {
    log_evidence: Tensor, // [B]
    mean: Tensor,         // [B, D]
    covariance: Tensor,   // [D, D]
}

impl ClosedForms {
    /// Computes the closed forms at the observations `x`, `[B, X]`.
    ///
    /// # Errors
    ///
    /// [`EstimateError`] if sizes do not fit.
    pub fn new(model: &dyn ExactPosterior, x: &Tensor) -> Result<Self, EstimateError> {
        let (mean, covariance) = model.posterior_moments(x)?;
        Ok(Self {
            log_evidence: model.log_evidence(x)?,
            mean,
            covariance,
        })
    }

    /// Returns `log p(x)` of each datapoint, nats.
    pub fn log_evidence(&self) -> Vec<f64> {
        to_f64_values(&self.log_evidence)
    }

    /// Returns `L[q] = log p(x) − KL(q ‖ p(z | x))` of each datapoint, nats.
    pub fn elbo(
        &self,
        family: &dyn ClosedFormGaussianFamily,
        params: &VariationalParams,
    ) -> Vec<f64> {
        let kl = family.kl_to_gaussian(params, &self.mean, &self.covariance);
        to_f64_values(&(&self.log_evidence - kl))
    }

    /// Returns the largest `L[q]` of the family for each datapoint, nats.
    pub fn optimal_elbo(&self, family: &dyn ClosedFormGaussianFamily) -> Vec<f64> {
        to_f64_values(&(&self.log_evidence - family.min_kl_to_gaussian(&self.covariance)))
    }
}
