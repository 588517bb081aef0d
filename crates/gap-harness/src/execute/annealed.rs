//! The annealing of a spec: where its paths begin, and its estimates as answers.

use super::measure::Answers;
use super::{failed, settings};
use crate::run::RunError;
use gap_data::Batch;
use gap_estimate::{Anchor, Annealing, Estimate, Transitions};
use gap_infer::{VariationalFamily, VariationalParams};
use gap_model::LatentVariableModel;
use gap_schema::record::{Estimator, Side};
use gap_schema::spec::{AnnealedSpec, AnnealedStart};
use gap_torch::SeedKey;

/// `q`s of a batch.
#[derive(Clone, Copy)]
pub struct OfFamily<'a> {
    pub family: &'a dyn VariationalFamily,
    pub params: &'a VariationalParams,
}

/// Annealing whose draws belong to one key.
pub struct Annealed {
    start: AnnealedStart,
    annealing: Annealing,
    key: SeedKey,
}

impl Annealed {
    pub fn of(spec: &AnnealedSpec, key: SeedKey) -> Self {
        Self {
            start: *spec.start.get_ref(),
            annealing: Annealing {
                inverse_temperatures: spec.inverse_temperatures(),
                n_chains: spec.chains.get_ref().get() as usize,
                transitions: Transitions {
                    leapfrog_steps: spec.leapfrog_steps.get(),
                    precision: settings::precision(spec.precision),
                },
                step_size: None,
            },
            key: key.role("annealed"),
        }
    }

    /// Where the paths of a batch begin: at a Gaussian with the moments of `q*` or of what the model's own
    /// encoder says, each with its family. They are there where a path of this spec begins at them.
    pub fn anchor(
        &self,
        q_star: Option<OfFamily>,
        companion: Option<OfFamily>,
        batch: &Batch,
        latent_dim: usize,
    ) -> Anchor {
        match (self.start, q_star, companion) {
            (AnnealedStart::FreeForm, Some(q), _) | (AnnealedStart::Encoder, _, Some(q)) => {
                Anchor::of(q.family, q.params)
            }
            (AnnealedStart::Prior, ..) => Anchor::prior(batch.len(), latent_dim),
            (start, ..) => unreachable!("the stage was given no `q` to start from: {start}"),
        }
    }

    /// `log p(x)` from below.
    pub fn forward(
        &self,
        model: &dyn LatentVariableModel,
        anchor: &Anchor,
        batch: &Batch,
        progress: &dyn Fn(f64),
    ) -> Result<Answers, RunError> {
        let estimates = self
            .annealing
            .forward(model, anchor, batch, self.key, progress)
            .map_err(failed)?;
        Ok(self.answers(Estimator::Annealed, Side::Lower, estimates))
    }

    /// `log p(x)` from above, by way of a draw of each datapoint's posterior, `[B, D]`.
    pub fn reverse(
        &self,
        model: &dyn LatentVariableModel,
        anchor: &Anchor,
        batch_and_z: (&Batch, &[f32]),
        progress: &dyn Fn(f64),
    ) -> Result<Answers, RunError> {
        let estimates = self
            .annealing
            .reverse(model, anchor, batch_and_z, self.key, progress)
            .map_err(failed)?;
        Ok(self.answers(Estimator::AnnealedReverse, Side::Upper, estimates))
    }

    fn answers(&self, estimator: Estimator, side: Side, estimates: Vec<Estimate>) -> Answers {
        let n_temperatures = self.annealing.inverse_temperatures.len();
        Answers {
            estimator,
            side,
            estimates,
            n_temperatures: Some(n_temperatures as u32),
        }
    }
}
