//! The loop of every fit: minibatches, noise, the learning rate, the watch over divergence.

use super::encoder_pass::EncoderPass;
use super::minibatches::Minibatches;
use super::scores::ScoreSource;
use super::step::TrainingStep;
use crate::inference::InferError;
use gap_model::Precision;
use gap_torch::{NoiseStream, SeedKey};
use std::f64::consts::PI;
use tch::Device;

/// An encoder and where its scores come from: fitted alone under a frozen model, or with its decoder.
pub struct Trainer<'a, S> {
    /// The encoder.
    pub encoder: EncoderPass<'a>,
    /// Of its draws.
    pub scores: S,
}

/// What is fitted how.
pub struct Fit<'a> {
    /// What is fitted, for an error.
    pub what: &'static str,
    /// The key of its learning rate, for an error.
    pub rate_key: &'static str,
    /// Steps.
    pub steps: u32,
    /// The learning rate of the first step.
    pub learning_rate: f64,
    /// `S`.
    pub n_samples: usize,
    /// Of each step.
    pub precision: &'a dyn Fn(u32) -> Precision,
    /// Normals of one draw.
    pub noise_dim: usize,
    /// Of the order and the noise.
    pub key: SeedKey,
    /// Is told the fraction that is done.
    pub progress: &'a dyn Fn(f64),
}

/// Steps between two looks at the weights: a look costs as much as a small step.
const CHECK_EVERY: u32 = 100;

impl<S: ScoreSource> Trainer<'_, S> {
    /// Takes all steps, and keeps what was learned.
    pub fn run(mut self, fit: &Fit<'_>, mut minibatches: Minibatches) -> Result<(), InferError> {
        let steps = fit.steps;
        // One stream for the whole fit: its steps are in one order, whatever else runs.
        let mut noise = NoiseStream::new(fit.key.role("noise"), &[0], Device::Cpu);
        for step in 0..steps {
            let positions = minibatches.next();
            let n_normals = fit.n_samples * positions.len() * fit.noise_dim;
            let noise = noise.normal_values(1, n_normals);
            let cosine = 0.5 * (1.0 + (PI * f64::from(step) / f64::from(steps)).cos());
            let this = TrainingStep {
                positions: &positions,
                n_samples: fit.n_samples,
                noise: &noise,
                learning_rate: fit.learning_rate * cosine,
                precision: (fit.precision)(step),
            };
            self.encoder.step(&this, &mut self.scores)?;
            let next = step + 1;
            if next % CHECK_EVERY != 0 && next != steps {
                continue;
            }
            if !(self.encoder.is_finite() && self.scores.is_finite()) {
                return Err(InferError::Diverged {
                    what: fit.what,
                    step: next,
                    steps,
                    key: fit.rate_key,
                });
            }
            (fit.progress)(f64::from(next) / f64::from(steps));
        }
        self.encoder.finish();
        self.scores.finish();
        Ok(())
    }
}
