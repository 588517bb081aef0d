//! Annealed importance sampling with the settings of a spec: where its paths begin, and its estimates.

use crate::context::Context;
use crate::encoders::FittedEncoder;
use crate::error::{RunError, stage_error};
use crate::measure::BatchEstimates;
use crate::stage_id::StageId;
use gap_data::Batch;
use gap_estimate::{Annealing, HmcSettings, InitialGaussian};
use gap_infer::{VariationalFamily, VariationalParams};
use gap_model::LatentVariableModel;
use gap_spec::{AnnealedSpec, AnnealedStart, Estimator};
use gap_torch::SeedKey;

/// Annealed importance sampling, with draws from one key.
pub struct AnnealedPaths {
    annealing: Annealing,
    key: SeedKey,
}

impl AnnealedPaths {
    /// Paths with the settings of `spec`, and draws from a key below `key`.
    pub fn new(spec: &AnnealedSpec, key: SeedKey) -> Self {
        Self {
            annealing: Annealing {
                inverse_temperatures: spec.inverse_temperatures(),
                n_chains: spec.chains.get() as usize,
                transitions: HmcSettings {
                    leapfrog_steps: spec.leapfrog_steps.get(),
                    precision: spec.precision(),
                },
                step_size: None,
            },
            key: key.for_role("annealed"),
        }
    }

    /// Estimates `log p(x)` of each datapoint; in expectation the estimates are lower bounds.
    pub fn forward(
        &self,
        model: &dyn LatentVariableModel,
        initial: &InitialGaussian,
        batch: &Batch,
        progress: &dyn Fn(f64),
    ) -> Result<BatchEstimates, RunError> {
        let estimates = self
            .annealing
            .forward(model, initial, batch, self.key, progress);
        Ok(BatchEstimates {
            estimator: Estimator::Annealed,
            estimates: estimates.map_err(stage_error)?,
        })
    }

    /// Estimates `log p(x)` of each datapoint; in expectation the estimates are upper bounds. They need a draw
    /// of each datapoint's posterior, `[B, D]`, the second part of `batch_and_z`.
    pub fn reverse(
        &self,
        model: &dyn LatentVariableModel,
        initial: &InitialGaussian,
        batch_and_z: (&Batch, &[f64]),
        progress: &dyn Fn(f64),
    ) -> Result<BatchEstimates, RunError> {
        let estimates = self
            .annealing
            .reverse(model, initial, batch_and_z, self.key, progress);
        Ok(BatchEstimates {
            estimator: Estimator::AnnealedReverse,
            estimates: estimates.map_err(stage_error)?,
        })
    }
}

/// Loads the encoder that the model was fitted with, if the paths begin at its `q`.
pub fn initial_encoder(
    spec: &AnnealedSpec,
    model: &StageId,
    context: &Context,
) -> Result<Option<FittedEncoder>, RunError> {
    match spec.start {
        AnnealedStart::Encoder => Ok(Some(context.load_encoder(model)?)),
        AnnealedStart::FreeForm | AnnealedStart::Prior => Ok(None),
    }
}

/// The Gaussians that the paths of a batch begin at: the prior, or those with the moments of `q*` or of the `q`
/// that the model's own encoder (`companion`) gives.
///
/// `q_star` or `companion` must be given if `spec.start` asks for it.
pub fn initial(
    spec: &AnnealedSpec,
    q_star: Option<(&dyn VariationalFamily, &VariationalParams)>,
    companion: Option<&FittedEncoder>,
    batch: &Batch,
    latent_dim: i64,
) -> InitialGaussian {
    match (spec.start, q_star, companion) {
        (AnnealedStart::FreeForm, Some((family, params)), _) => {
            InitialGaussian::matching_moments_of(family, params)
        }
        (AnnealedStart::Encoder, _, Some(fitted)) => {
            let params = fitted.encoder.encode(batch.x());
            InitialGaussian::matching_moments_of(fitted.family.as_ref(), &params)
        }
        (AnnealedStart::Prior, ..) => {
            InitialGaussian::standard_normal_prior(batch.len(), latent_dim as usize)
        }
        (start, ..) => unreachable!("the stage was given no `q` to start from: {start}"),
    }
}
