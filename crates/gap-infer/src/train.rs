//! Fits encoders to a frozen decoder, or a decoder and its encoder jointly.
//!
//! Both run Adam on minibatches, with a learning rate that falls to zero along a half cosine
//! (Loshchilov and Hutter 2017, "SGDR", §3), so that a fit ends without the noise of its last steps.
//! Gradients are taken through the layers by hand: no graph is built.

mod adam;
mod learner;
mod minibatches;
mod on_kernels;
mod on_tensors;
mod upward;

use crate::ascent::Precision;
use crate::encoder::Encoder;
use crate::family::VariationalFamily;
use crate::inference::InferError;
use gap_data::Dataset;
use gap_model::{LatentVariableModel, MlpDecoder};
use gap_torch::{NoiseStream, SeedKey};
use minibatches::Minibatches;
use on_kernels::{EncoderOnKernels, VaeOnKernels};
use on_tensors::{EncoderOnTensors, VaeOnTensors};
use std::f64::consts::PI;
use std::time::Instant;
use tch::Device;

/// The optimiser's settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// Gradient steps.
    pub steps: u32,
    /// Datapoints in a step.
    pub batch_size: u32,
    /// The learning rate at the start.
    pub learning_rate: f64,
    /// Draws of `z` per datapoint and step.
    pub n_samples: u32,
    /// How exact products are, but for the last tenth of the steps: that is in full.
    pub precision: Precision,
    /// Threads that a joint fit may put to use, two at the most: on the second the decoder takes its
    /// step while the encoder takes its own. The numbers do not depend on it.
    pub threads: usize,
}

impl Training {
    /// Datapoints in a step on `data`, which may have fewer than were asked for.
    fn points_in_a_step(&self, data: &Dataset) -> usize {
        (self.batch_size as usize).min(data.len())
    }

    fn precision_of(&self, step: u32) -> Precision {
        if 10 * u64::from(step) < 9 * u64::from(self.steps) {
            self.precision
        } else {
            Precision::Full
        }
    }
}

/// What a fit cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrainingCost {
    /// Wall time, seconds.
    pub seconds: f64,
    /// Joint gradients spent; 0 where the decoder was fitted too, since those are not of `z` alone.
    pub joint_gradients: u64,
}

/// Fits `encoder` to the frozen `model`: `∇_λ ELBO` comes from the score and is pulled back through
/// the encoder, so the decoder is never differentiated by weight.
///
/// `progress` is told the fraction that is done.
///
/// # Errors
///
/// [`InferError::Diverged`] if a weight stops being finite.
pub fn fit_encoder(
    model: &dyn LatentVariableModel,
    family: &dyn VariationalFamily,
    encoder: &mut Encoder,
    data: &Dataset,
    training: Training,
    key: SeedKey,
    progress: &dyn Fn(f64),
) -> Result<TrainingCost, InferError> {
    let clock = Instant::now();
    let fit = Fit {
        what: "encoder",
        rate_key: "encoder_training.learning_rate",
        training,
        noise_dim: family.noise_dim() as usize,
        key,
        progress,
    };
    match EncoderOnKernels::new(model, family, encoder, data, training) {
        Ok(pupil) => fit.run(data, Box::new(pupil)),
        Err(encoder) => {
            let pupil = EncoderOnTensors::new(model, family, encoder, data, training);
            fit.run(data, Box::new(pupil))
        }
    }?;
    Ok(TrainingCost {
        seconds: clock.elapsed().as_secs_f64(),
        joint_gradients: u64::from(training.steps)
            * training.points_in_a_step(data) as u64
            * u64::from(training.n_samples),
    })
}

/// Fits `decoder` and `encoder` jointly, as a VAE (Kingma and Welling 2014).
///
/// # Errors
///
/// [`InferError::Diverged`] if a weight stops being finite.
pub fn fit_jointly(
    decoder: &mut MlpDecoder,
    family: &dyn VariationalFamily,
    encoder: &mut Encoder,
    data: &Dataset,
    training: Training,
    key: SeedKey,
    progress: &dyn Fn(f64),
) -> Result<TrainingCost, InferError> {
    let clock = Instant::now();
    let fit = Fit {
        what: "decoder",
        rate_key: "model.training.learning_rate",
        training,
        noise_dim: family.noise_dim() as usize,
        key,
        progress,
    };
    match VaeOnKernels::new(decoder, family, encoder, data, training) {
        Ok(pupil) => fit.run(data, Box::new(pupil)),
        Err((decoder, encoder)) => {
            let pupil = VaeOnTensors::new(decoder, family, encoder, data, training);
            fit.run(data, Box::new(pupil))
        }
    }?;
    Ok(TrainingCost {
        seconds: clock.elapsed().as_secs_f64(),
        joint_gradients: 0,
    })
}

/// What learns, and how its steps are computed.
trait Pupil {
    /// One step up the ELBO of some datapoints.
    fn step(&mut self, step: &Step) -> Result<(), InferError>;

    /// Whether all weights are finite.
    fn is_finite(&mut self) -> bool;

    /// Gives the networks the weights that were learned.
    fn finish(self: Box<Self>);
}

/// What one step learns from.
struct Step<'a> {
    /// Of the datapoints in the data: `[B]`.
    positions: &'a [usize],
    /// `S`.
    n_samples: usize,
    /// Standard normals: `[S, B, N]`.
    noise: &'a [f32],
    learning_rate: f64,
    precision: Precision,
}

/// What all fits share: minibatches, noise, the schedule, the watch over divergence.
struct Fit<'a> {
    what: &'static str,
    rate_key: &'static str,
    training: Training,
    noise_dim: usize,
    key: SeedKey,
    progress: &'a dyn Fn(f64),
}

/// Steps between two looks at the weights: a look costs as much as a small step.
const WATCH_EVERY: u32 = 100;

impl Fit<'_> {
    fn run(&self, data: &Dataset, mut pupil: Box<dyn Pupil + '_>) -> Result<(), InferError> {
        let Training {
            steps,
            batch_size,
            learning_rate,
            n_samples,
            ..
        } = self.training;
        let order = self.key.role("order");
        let mut minibatches = Minibatches::new(data.len(), batch_size as usize, order);
        // One stream for the whole fit: its steps are in one order, whatever else runs.
        let mut noise = NoiseStream::new(self.key.role("noise"), &[0], Device::Cpu);
        let n_samples = n_samples as usize;
        for step in 0..steps {
            let positions = minibatches.next();
            let n_normals = n_samples * positions.len() * self.noise_dim;
            let noise = noise.normal_values(1, n_normals);
            let cosine = 0.5 * (1.0 + (PI * f64::from(step) / f64::from(steps)).cos());
            pupil.step(&Step {
                positions: &positions,
                n_samples,
                noise: &noise,
                learning_rate: learning_rate * cosine,
                precision: self.training.precision_of(step),
            })?;
            let next = step + 1;
            if next % WATCH_EVERY != 0 && next != steps {
                continue;
            }
            if !pupil.is_finite() {
                let (what, key) = (self.what, self.rate_key);
                return Err(InferError::Diverged {
                    what,
                    step: next,
                    steps,
                    key,
                });
            }
            (self.progress)(f64::from(next) / f64::from(steps));
        }
        pupil.finish();
        Ok(())
    }
}
