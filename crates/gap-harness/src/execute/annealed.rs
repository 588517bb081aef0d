//! The annealing of a spec: where its paths begin, and its estimates as answers.

use super::build;
use super::failed;
use super::measure::Answers;
use crate::run::RunError;
use gap_data::Batch;
use gap_estimate::{Anchor, Annealing, Estimate, Transitions};
use gap_infer::{DiagonalGaussian, Encoder, VariationalParams};
use gap_model::LatentVariableModel;
use gap_schema::record::{Estimator, Side};
use gap_schema::spec::{AnnealedSpec, AnnealedStart};
use gap_torch::SeedKey;

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
                    precision: build::precision(spec.precision),
                },
                step_size: None,
            },
            key: key.role("annealed"),
        }
    }

    /// Where the paths of a batch begin. Its `q*` and the model's own encoder are there where a path of
    /// this spec begins at them.
    pub fn anchor(
        &self,
        family: DiagonalGaussian,
        q_star: Option<&VariationalParams>,
        companion: Option<&Encoder>,
        batch: &Batch,
    ) -> Anchor {
        match (self.start, q_star, companion) {
            (AnnealedStart::FreeForm, Some(q_star), _) => Anchor::of(family, q_star),
            (AnnealedStart::Encoder, _, Some(encoder)) => {
                Anchor::of(family, &encoder.encode(batch.x()))
            }
            (AnnealedStart::Prior, ..) => {
                let dim = gap_infer::VariationalFamily::latent_dim(&family);
                Anchor::prior(batch.len(), dim as usize)
            }
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
