//! The loop of every fit: minibatches, noise, the learning rate, the watch over divergence.

use super::encoder_pass::EncoderLearner;
use super::minibatches::Minibatches;
use super::scores::ScoreSource;
use super::step::TrainingStepInputs;
use crate::inference::InferError;
use gap_spec::{Precision, TrainingSpec};
use gap_torch::{NoiseStream, SeedKey};
use std::f64::consts::PI;
use tch::Device;

/// An encoder and where its scores come from: fitted alone under a frozen model, or with its decoder.
pub struct Trainer<'a, S> {
    /// The encoder.
    pub encoder: EncoderLearner<'a>,
    /// Of its draws.
    pub scores: S,
}

/// What is fitted, for an error.
#[derive(Clone, Copy)]
pub struct FitSubject {
    /// The network.
    pub what: &'static str,
    /// The key of its learning rate.
    pub rate_key: &'static str,
}

/// The settings of a fit, and its randomness.
pub struct FitSettings<'a> {
    /// What is fitted.
    pub subject: FitSubject,
    /// The optimiser's settings.
    pub training: &'a TrainingSpec,
    /// Normals of one draw.
    pub noise_dim: usize,
    /// Of the order of datapoints, and of the noise.
    pub key: SeedKey,
    /// Is told the fraction that is done.
    pub progress: &'a dyn Fn(f64),
}

impl FitSettings<'_> {
    /// How exact products are in a step: in full for the last tenth.
    fn precision_at_step(&self, step: u32) -> Precision {
        if 10 * u64::from(step) < 9 * u64::from(self.training.steps.get()) {
            self.training.precision
        } else {
            Precision::Full
        }
    }
}

/// Steps from one check of the weights to the next: a check costs as much as a small step.
const STEPS_BETWEEN_FINITE_CHECKS: u32 = 100;

impl<S: ScoreSource> Trainer<'_, S> {
    /// Takes all steps on `n_points` datapoints, and keeps what was learned.
    pub fn run(mut self, fit: &FitSettings<'_>, n_points: usize) -> Result<(), InferError> {
        let steps = fit.training.steps.get();
        let n_samples = fit.training.n_samples.get() as usize;
        let batch_size = fit.training.batch_size.get() as usize;
        let mut minibatches = Minibatches::new(n_points, batch_size, fit.key.for_role("order"));
        // One stream for the whole fit: its steps are in one order, whatever else runs.
        let mut noise = NoiseStream::new(fit.key.for_role("noise"), &[0], Device::Cpu);
        for step in 0..steps {
            let positions = minibatches.next_positions();
            let n_normals = n_samples * positions.len() * fit.noise_dim;
            let noise = noise.normal_values(1, n_normals);
            let cosine = 0.5 * (1.0 + (PI * f64::from(step) / f64::from(steps)).cos());
            let this = TrainingStepInputs {
                positions: &positions,
                n_samples,
                noise: &noise,
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
            (fit.progress)(f64::from(next) / f64::from(steps));
        }
        self.encoder.finish();
        self.scores.finish();
        Ok(())
    }
}
