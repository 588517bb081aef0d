//! A model at fixed observations, asked in plain memory, wherever it computes.
//!
//! Ascents and Hamiltonian chains keep their rows in arrays of their own: on the kernels these are read
//! where they lie, elsewhere they become tensors and the answers come back.

use crate::conditioned::ConditionedModel;
use crate::model::{LatentVariableModel, ModelError};
use gap_kernel::Precision;
use gap_torch::{doubles, floats};
use std::f64::consts::TAU;
use tch::{Device, Kind, Tensor};

/// What an evaluation is to write, each if it is asked for.
#[derive(Debug, Default)]
pub struct WantedOfRows<'a> {
    /// `∇_z log p(x, z)`: `[N, D]`.
    pub score: Option<&'a mut [f32]>,
    /// `log p(x, z)`, nats: `[N]`.
    pub log_joint: Option<&'a mut [f64]>,
    /// How exact the products are. With values they are always in full.
    pub precision: Precision,
}

/// `log p(x, ·)` and its gradient at fixed observations.
pub struct JointRows<'a> {
    conditioned: Box<dyn ConditionedModel + 'a>,
    latent_dim: usize,
    kind: Kind,
    device: Device,
}

impl<'a> JointRows<'a> {
    /// Of `model` at the rows of `x`, `[B, X]`.
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

    /// `D`.
    pub const fn latent_dim(&self) -> usize {
        self.latent_dim
    }

    /// Writes what is `wanted` of rows: row `n` of `z`, `[N, D]`, belongs to observation
    /// `observations[n]`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if lengths do not fit, or for an observation that is not there.
    pub fn evaluate(
        &mut self,
        observations: &[usize],
        z: &[f32],
        wanted: WantedOfRows<'_>,
    ) -> Result<(), ModelError> {
        if self.conditioned.on_kernels().is_some() {
            self.on_kernels(observations, z, wanted);
            Ok(())
        } else {
            self.on_tensors(observations, z, wanted)
        }
    }

    fn on_kernels(&self, observations: &[usize], z: &[f32], wanted: WantedOfRows<'_>) {
        let decoder = self.conditioned.on_kernels();
        let decoder = decoder.expect("this way is taken where they are");
        let WantedOfRows {
            score,
            mut log_joint,
            precision,
        } = wanted;
        let precision = if log_joint.is_some() {
            Precision::Full
        } else {
            precision
        };
        let asked = gap_kernel::Wanted {
            score,
            log_likelihood: log_joint.as_deref_mut(),
            precision,
        };
        decoder.evaluate(observations, z, asked);
        if let Some(values) = log_joint {
            for (value, z) in values.iter_mut().zip(z.chunks_exact(self.latent_dim)) {
                *value += log_prior(z);
            }
        }
    }

    fn on_tensors(
        &mut self,
        observations: &[usize],
        z: &[f32],
        wanted: WantedOfRows<'_>,
    ) -> Result<(), ModelError> {
        let observations: Vec<i64> = observations.iter().map(|&row| row as i64).collect();
        let z = Tensor::from_slice(z)
            .view([-1, self.latent_dim as i64])
            .to_kind(self.kind)
            .to_device(self.device);
        let conditioned = &mut self.conditioned;
        match (wanted.score, wanted.log_joint) {
            (Some(score), Some(log_joint)) => {
                let both = conditioned.log_joint_and_score(&observations, &z)?;
                score.copy_from_slice(&floats(&both.score));
                log_joint.copy_from_slice(&doubles(&both.log_joint));
            }
            (Some(score), None) => {
                score.copy_from_slice(&floats(&conditioned.score(&observations, &z)?));
            }
            (None, Some(log_joint)) => {
                log_joint.copy_from_slice(&doubles(&conditioned.log_joint(&observations, &z)?));
            }
            (None, None) => {}
        }
        Ok(())
    }
}

/// `log N(z; 0, I)`, nats.
fn log_prior(z: &[f32]) -> f64 {
    let squares: f64 = z.iter().map(|&z| f64::from(z).powi(2)).sum();
    -0.5 * (squares + z.len() as f64 * TAU.ln())
}
