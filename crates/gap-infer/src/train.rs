//! Fits encoders to a frozen decoder, or a decoder and its encoder jointly.
//!
//! Both run Adam on minibatches, with a learning rate that falls to zero along a half cosine
//! (Loshchilov and Hutter 2017, "SGDR", §3), so that a fit ends without the noise of its last steps.
//! Gradients are taken through the layers by hand: no graph is built.

mod adam;
mod learner;

use crate::elbo_gradient::elbo_gradient;
use crate::encoder::Encoder;
use crate::family::{VariationalFamily, VariationalParams};
use crate::inference::InferError;
use gap_data::{Batch, Dataset};
use gap_model::{LatentVariableModel, MlpDecoder};
use gap_torch::{NoiseStream, SeedKey, uniform_permutation};
use learner::Learner;
use std::f64::consts::PI;
use std::time::Instant;
use tch::{Device, Tensor};

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
}

impl Training {
    /// Datapoints in a step on `data`, which may have fewer than were asked for.
    fn points_in_a_step(&self, data: &Dataset) -> u32 {
        self.batch_size.min(data.len() as u32)
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
    let most_rows = training.points_in_a_step(data) as usize;
    let mut learner = Learner::of(encoder.network_mut(), most_rows);
    let fit = Fit {
        what: "encoder",
        rate_key: "encoder_training.learning_rate",
        training,
        key,
        progress,
    };
    fit.run(data, Sizes::of(model), |step| {
        let params = VariationalParams(learner.forward(step.batch.x()));
        let gradient = elbo_gradient(model, family, &params, step.batch.x(), step.noise)?;
        learner.ascend(gradient / step.batch.len() as f64, step.learning_rate);
        Ok(!step.is_watched || learner.is_finite())
    })?;
    learner.finish();
    Ok(TrainingCost {
        seconds: clock.elapsed().as_secs_f64(),
        joint_gradients: u64::from(training.steps)
            * u64::from(training.points_in_a_step(data))
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
    let sizes = Sizes::of(decoder);
    let most_rows = training.points_in_a_step(data) as usize;
    let all_draws = most_rows * training.n_samples as usize;
    let likelihood = decoder.likelihood();
    let mut of_encoder = Learner::of(encoder.network_mut(), most_rows);
    let mut of_decoder = Learner::of(decoder.network_mut(), all_draws);
    let fit = Fit {
        what: "decoder",
        rate_key: "model.training.learning_rate",
        training,
        key,
        progress,
    };
    fit.run(data, sizes, |step| {
        let params = VariationalParams(of_encoder.forward(step.batch.x()));
        let z = family.transform(&params, step.noise).z; // [S, B, D]
        let n_rows = z.size()[0] * z.size()[1];
        let x = step.batch.x().repeat([z.size()[0], 1]);
        let rows = z.reshape([n_rows, -1]);
        let output = of_decoder.forward(&rows);
        let scale = 1.0 / n_rows as f64;
        let residual = likelihood.residual(&x, &output) * scale;
        let in_z = of_decoder.ascend_and_pull_back(residual, step.learning_rate);
        let score = in_z / scale - rows;
        let gradient = family.pull_back(&params, step.noise, &score.view_as(&z));
        of_encoder.ascend(gradient / step.batch.len() as f64, step.learning_rate);
        Ok(!step.is_watched || (of_encoder.is_finite() && of_decoder.is_finite()))
    })?;
    of_encoder.finish();
    of_decoder.finish();
    Ok(TrainingCost {
        seconds: clock.elapsed().as_secs_f64(),
        joint_gradients: 0,
    })
}

/// What the two fits share: minibatches, noise, the schedule, the watch over divergence.
struct Fit<'a> {
    what: &'static str,
    rate_key: &'static str,
    training: Training,
    key: SeedKey,
    progress: &'a dyn Fn(f64),
}

/// Steps between two looks at the weights: a look costs as much as a small step.
const WATCH_EVERY: u32 = 100;

impl Fit<'_> {
    /// Takes `take` through all steps; it says whether the weights are finite.
    fn run(
        &self,
        data: &Dataset,
        model: Sizes,
        mut take: impl FnMut(Step) -> Result<bool, InferError>,
    ) -> Result<(), InferError> {
        let _no_grad = tch::no_grad_guard();
        let Training {
            steps,
            batch_size,
            learning_rate,
            n_samples,
        } = self.training;
        let mut minibatches = Minibatches::new(data.len(), batch_size as usize, self.key);
        for step in 0..steps {
            let batch = data.batch_at(&minibatches.next(), model.device);
            let noise_key = self.key.role("noise").index(u64::from(step));
            let noise = NoiseStream::new(noise_key, batch.ids(), model.device)
                .normal(i64::from(n_samples), model.latent_dim);
            let cosine = 0.5 * (1.0 + (PI * f64::from(step) / f64::from(steps)).cos());
            let next = step + 1;
            let is_watched = next % WATCH_EVERY == 0 || next == steps;
            let is_finite = take(Step {
                batch: &batch,
                noise: &noise,
                learning_rate: learning_rate * cosine,
                is_watched,
            })?;
            if !is_finite {
                let (what, key) = (self.what, self.rate_key);
                return Err(InferError::Diverged {
                    what,
                    step: next,
                    steps,
                    key,
                });
            }
            if is_watched {
                (self.progress)(f64::from(next) / f64::from(steps));
            }
        }
        Ok(())
    }
}

/// What one step learns from.
struct Step<'a> {
    batch: &'a Batch,
    /// `[S, B, D]`
    noise: &'a Tensor,
    learning_rate: f64,
    /// Whether the weights are to be looked at after it.
    is_watched: bool,
}

/// What the noise of a fit must fit.
#[derive(Clone, Copy)]
struct Sizes {
    latent_dim: i64,
    device: Device,
}

impl Sizes {
    fn of(model: &dyn LatentVariableModel) -> Self {
        Self {
            latent_dim: model.latent_dim(),
            device: model.device(),
        }
    }
}

/// Minibatches without replacement, in a new random order in each pass over the data.
struct Minibatches {
    key: SeedKey,
    n: usize,
    size: usize,
    pass: u64,
    order: Vec<usize>,
}

impl Minibatches {
    fn new(n: usize, size: usize, key: SeedKey) -> Self {
        Self {
            key: key.role("order"),
            n,
            size: size.min(n),
            pass: 0,
            order: Vec::new(),
        }
    }

    /// Positions of the next minibatch; what is left of a pass that is too short is dropped.
    fn next(&mut self) -> Vec<usize> {
        if self.order.len() < self.size {
            self.order = uniform_permutation(self.key.index(self.pass), self.n);
            self.pass += 1;
        }
        self.order.split_off(self.order.len() - self.size)
    }
}
