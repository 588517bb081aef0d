//! The loop of every fit: minibatches, noise, the learning rate, and the check for divergence.

use super::checkpoints::{FitContext, FitState};
use super::encoder_pass::EncoderLearner;
use super::minibatches::Minibatches;
use super::scores::ScoreSource;
use super::step::TrainingStepInputs;
use crate::inference::InferError;
use gap_spec::{Precision, TrainingSpec};
use gap_torch::{NoiseStream, SeedKey};
use std::f64::consts::PI;
use std::time::Instant;
use tch::Device;

/// Fits an encoder, either alone with scores of a frozen model, or jointly with the decoder that gives the
/// scores.
pub struct Trainer<'a, S> {
    /// The encoder.
    pub encoder: EncoderLearner<'a>,
    /// The source of the scores at the encoder's draws.
    pub scores: S,
}

/// What is fitted, as an error message names it.
#[derive(Clone, Copy)]
pub struct FitSubject {
    /// What the network is: `encoder` or `decoder`.
    pub what: &'static str,
    /// The configuration key of its learning rate.
    pub rate_key: &'static str,
}

/// The settings of a fit, and its randomness.
pub struct FitSettings<'a> {
    /// What is fitted.
    pub subject: FitSubject,
    /// The optimiser's settings.
    pub training: &'a TrainingSpec,
    /// The number of standard normals of one draw, `N`.
    pub noise_dim: usize,
    /// The key of the order of datapoints and of the noise.
    pub key: SeedKey,
    /// When it was begun.
    pub begun: Instant,
    /// What surrounds it.
    pub context: &'a dyn FitContext,
}

impl FitSettings<'_> {
    /// Returns the precision of the matrix products in a step: full precision in the last tenth of the steps.
    fn precision_at_step(&self, step: u32) -> Precision {
        if 10 * u64::from(step) < 9 * u64::from(self.training.steps.get()) {
            self.training.precision
        } else {
            Precision::Full
        }
    }
}

/// The number of steps from one check for finite weights to the next; a check costs as much as a small step.
const STEPS_BETWEEN_FINITE_CHECKS: u32 = 100;

impl<S: ScoreSource> Trainer<'_, S> {
    /// Takes all steps on a data set of `n_points` datapoints, and writes the learned weights back. It begins at the
    /// latest checkpoint, and returns its wall time, seconds, with that up to the checkpoint.
    pub fn run(mut self, fit: &FitSettings<'_>, n_points: usize) -> Result<f64, InferError> {
        let steps = fit.training.steps.get();
        let n_samples = fit.training.n_samples.get() as usize;
        let batch_size = fit.training.batch_size.get() as usize;
        let mut minibatches = Minibatches::new(n_points, batch_size, fit.key.for_role("order"));
        // One stream serves the whole fit, since a fit's steps run one after another in a fixed order.
        let mut noise = NoiseStream::new(fit.key.for_role("noise"), &[0], Device::Cpu);
        let (first, earlier) = match self.restore(fit) {
            Some(state) => {
                noise.seek(&[state.noise_position]);
                for _ in 0..state.step {
                    minibatches.next_positions();
                }
                (state.step, state.seconds)
            }
            None => (0, 0.0),
        };
        for step in first..steps {
            let positions = minibatches.next_positions();
            let n_normals = n_samples * positions.len() * fit.noise_dim;
            let normals = noise.normal_values(1, n_normals);
            let cosine = 0.5 * (1.0 + (PI * f64::from(step) / f64::from(steps)).cos());
            let this = TrainingStepInputs {
                positions: &positions,
                n_samples,
                noise: &normals,
                learning_rate: fit.training.learning_rate.get() * cosine,
                precision: fit.precision_at_step(step),
            };
            self.encoder.step(&this, &mut self.scores)?;
            let next = step + 1;
            if next % STEPS_BETWEEN_FINITE_CHECKS != 0 && next != steps {
                continue;
            }
            if !(self.encoder.is_finite() && self.scores.is_finite()) {
                return Err(InferError::Diverged {
                    what: fit.subject.what,
                    step: next,
                    steps,
                    key: fit.subject.rate_key,
                });
            }
            fit.context
                .report_progress(f64::from(next) / f64::from(steps));
            if next != steps && fit.context.is_checkpoint_due() {
                let state = FitState {
                    step: next,
                    seconds: earlier + fit.begun.elapsed().as_secs_f64(),
                    noise_position: noise.positions()[0],
                    encoder: self.encoder.state(),
                    scores: self.scores.states(),
                };
                let bytes = state.to_bytes().map_err(|error| InferError::Checkpoint {
                    message: error.to_string(),
                })?;
                fit.context.save_checkpoint(&bytes)?;
            }
        }
        self.encoder.finish();
        self.scores.finish();
        Ok(earlier + fit.begun.elapsed().as_secs_f64())
    }

    /// Goes back to the latest checkpoint, and returns it; `None`, with nothing changed, if there is none of this fit.
    fn restore(&mut self, fit: &FitSettings<'_>) -> Option<FitState> {
        let bytes = fit.context.load_checkpoint()?;
        let before = (self.encoder.state(), self.scores.states());
        let state = FitState::from_bytes(&bytes, before.1.len())?;
        if state.step > fit.training.steps.get() || !self.encoder.restore(&state.encoder) {
            return None;
        }
        if !self.scores.restore(&state.scores) {
            let is_undone = self.encoder.restore(&before.0);
            assert!(is_undone, "it is the state of this encoder");
            return None;
        }
        Some(state)
    }
}
