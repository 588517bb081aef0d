//! Fits encoders to a frozen decoder, or a decoder and its encoder jointly.
//!
//! Both run Adam on minibatches, with a learning rate that falls to zero along a half cosine
//! (Loshchilov and Hutter 2017, "SGDR", §3), so that a fit ends without the noise of its last steps.

use crate::elbo_gradient::elbo_gradient;
use crate::encoder::Encoder;
use crate::family::{VariationalFamily, VariationalParams};
use crate::inference::InferError;
use gap_data::{Batch, Dataset};
use gap_model::{LatentVariableModel, MlpDecoder};
use gap_torch::{NoiseStream, SeedKey, uniform_permutation};
use std::f64::consts::PI;
use std::time::Instant;
use tch::nn::{self, OptimizerConfig};
use tch::{COptimizer, Device, Kind, Tensor};

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
    encoder.network_mut().set_trainable(true);
    let parameters = encoder.network().parameters();
    let fit = Fit {
        what: "encoder",
        rate_key: "encoder_training.learning_rate",
        training,
        key,
        progress,
    };
    fit.run(&parameters, data, Sizes::of(model), |batch, noise| {
        let params = encoder.forward(batch.x());
        let frozen = VariationalParams(params.0.detach());
        let gradient = elbo_gradient(model, family, &frozen, batch.x(), noise)?;
        // The gradient of this sum in the weights is that of the ELBO.
        Ok((params.0 * gradient).sum(Kind::Float))
    })?;
    encoder.network_mut().set_trainable(false);
    Ok(TrainingCost {
        seconds: clock.elapsed().as_secs_f64(),
        joint_gradients: u64::from(training.steps)
            * u64::from(training.batch_size.min(data.len() as u32))
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
    encoder.network_mut().set_trainable(true);
    decoder.network_mut().set_trainable(true);
    let mut parameters = encoder.network().parameters();
    parameters.extend(decoder.network().parameters());
    let fit = Fit {
        what: "decoder",
        rate_key: "model.training.learning_rate",
        training,
        key,
        progress,
    };
    let sizes = Sizes::of(decoder);
    fit.run(&parameters, data, sizes, |batch, noise| {
        let params = encoder.forward(batch.x());
        let z = family.transform(&params, noise).z;
        let log_joint = decoder.log_joint(batch.x(), &z)?;
        Ok(log_joint
            .mean_dim([0_i64].as_slice(), false, Kind::Double)
            .sum(Kind::Double)
            + family.entropy(&params).sum(Kind::Double))
    })?;
    encoder.network_mut().set_trainable(false);
    decoder.network_mut().set_trainable(false);
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
    /// Maximises the mean over datapoints of `objective`, a sum over its batch.
    fn run(
        &self,
        parameters: &[Tensor],
        data: &Dataset,
        model: Sizes,
        mut objective: impl FnMut(&Batch, &Tensor) -> Result<Tensor, InferError>,
    ) -> Result<(), InferError> {
        let Training {
            steps,
            batch_size,
            learning_rate,
            n_samples,
        } = self.training;
        let mut optimizer = adam(parameters, learning_rate);
        let mut minibatches = Minibatches::new(data.len(), batch_size as usize, self.key);
        for step in 0..steps {
            let batch = data.batch_at(&minibatches.next(), model.device);
            let noise_key = self.key.role("noise").index(u64::from(step));
            let noise = NoiseStream::new(noise_key, batch.ids(), model.device)
                .normal(i64::from(n_samples), model.latent_dim);
            let loss = objective(&batch, &noise)? / -(batch.len() as f64);
            let cosine = 0.5 * (1.0 + (PI * f64::from(step) / f64::from(steps)).cos());
            optimizer
                .set_learning_rate(learning_rate * cosine)
                .expect("Adam has a learning rate");
            optimizer.zero_grad().expect("Adam can clear its gradients");
            loss.backward();
            optimizer.step().expect("Adam can step");
            let next = step + 1;
            if next % WATCH_EVERY == 0 || next == steps {
                self.watch(parameters, next)?;
                (self.progress)(f64::from(next) / f64::from(steps));
            }
        }
        Ok(())
    }

    fn watch(&self, parameters: &[Tensor], step: u32) -> Result<(), InferError> {
        let finite = |p: &Tensor| p.isfinite().all().int64_value(&[]) == 1;
        if parameters.iter().all(finite) {
            return Ok(());
        }
        let (what, key, steps) = (self.what, self.rate_key, self.training.steps);
        Err(InferError::Diverged {
            what,
            step,
            steps,
            key,
        })
    }
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

fn adam(parameters: &[Tensor], learning_rate: f64) -> COptimizer {
    let mut optimizer = nn::Adam::default()
        .build_copt(learning_rate)
        .expect("Adam's defaults are valid");
    for parameter in parameters {
        optimizer
            .add_parameters(parameter, 0)
            .expect("a weight can be optimised");
    }
    optimizer
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
