//! Annealed paths as a spec has them: where they begin, and what they say.

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

/// Annealing whose draws belong to one key.
pub struct AnnealedPaths {
    annealing: Annealing,
    key: SeedKey,
}

impl AnnealedPaths {
    /// Paths as `spec` has them, with draws below `key`.
    pub fn new(spec: &AnnealedSpec, key: SeedKey) -> Self {
        Self {
            annealing: Annealing {
                inverse_temperatures: spec.inverse_temperatures(),
                n_chains: spec.chains.get() as usize,
                transitions: HmcSettings {
                    leapfrog_steps: spec.leapfrog_steps.get(),
                    precision: spec.precision,
                },
                step_size: None,
            },
            key: key.for_role("annealed"),
        }
    }

    /// `log p(x)` from below.
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

    /// `log p(x)` from above, by way of a draw of each datapoint's posterior, `[B, D]`.
    pub fn reverse(
        &self,
        model: &dyn LatentVariableModel,
        initial: &InitialGaussian,
        batch_and_z: (&Batch, &[f32]),
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

/// The encoder that the paths begin at, if they do: the one that the model was fitted with.
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

/// Where the paths of a batch begin: at a Gaussian with the moments of `q*` or of what the model's own
/// encoder says, each with its family. They are there where a path of this spec begins at them.
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
