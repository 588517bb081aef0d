//! Fits encoders to a frozen decoder, or a decoder and its encoder jointly.
//!
//! Both run Adam on minibatches, with a learning rate that falls to zero along a half cosine (Loshchilov and
//! Hutter 2017, "SGDR", §3), so that the last steps add little noise. Gradients are pulled back through the
//! layers explicitly, without libtorch's automatic differentiation.
//!
//! # Initialisation
//!
//! [`Encoder::new_for_fitting`] has random weights in the rows of the means, and zeros in all other rows of its last
//! layer. Joint fits on binarized MNIST (threshold; `D = 50`, 200-200 tanh, batches of 100, learning rate 1e-3), test
//! ELBO of 1,000 points, seeds 0 and 1:
//!
//! | last layer of the encoder | 3,000 steps | 30,000 steps |
//! |---|---|---|
//! | zeros | −136.8 | |
//! | means random, times 0.1; zeros | −135.2, −129.1 | |
//! | means random, times 0.3; zeros | −126.2, −125.8 | |
//! | **means random, times 1; zeros** | −116.9, −116.9 | −83.1, −83.3 |
//! | all random, variance `1 / inputs` | −121.5, −119.7 | −83.7, −83.5 |
//!
//! Encoders of frozen decoders (digits, `D = 10`, 6,000 steps), mean training gap of three seeds, nats:
//!
//! | means times | linear | 4 | 16 | 64 | 256 | 256-256 |
//! |---|---|---|---|---|---|---|
//! | 0.001 | 1.080 | 2.331 | 0.416 | 0.169 | 0.130 | 0.049 |
//! | **0.1** | 1.080 | 2.308 | 0.415 | 0.173 | 0.132 | 0.047 |
//! | 0.3 | 1.080 | 2.295 | 0.425 | 0.182 | 0.139 | 0.051 |
//! | 1 | 1.079 | 2.274 | 0.406 | 0.208 | 0.150 | 0.065 |

mod checkpoints;
mod encoder_pass;
mod minibatches;
pub mod objective;
mod scores;
mod step;
mod trainer;

use crate::encoder::Encoder;
use crate::family::VariationalFamily;
use crate::inference::InferError;
pub use checkpoints::FitContext;
use encoder_pass::{EncoderData, EncoderLearner, can_train_without_tensors};
use gap_data::Dataset;
use gap_model::{DecoderLearner, LatentVariableModel, MlpDecoder, NetworkLearner};
use gap_spec::{Count, ObjectiveSpec, TrainingSpec};
use gap_torch::SeedKey;
use objective::build_objective;
use scores::FrozenModel;
use std::time::Instant;
use trainer::{FitSettings, FitSubject, Trainer};

/// Returns the number of datapoints in a step: what `training` asks for, or all of `data` if it has fewer.
fn minibatch_size(training: &TrainingSpec, data: &Dataset) -> usize {
    (training.batch_size.get() as usize).min(data.len())
}

/// Wall time and joint gradients of a fit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrainingCost {
    /// Wall time, seconds.
    pub seconds: f64,
    /// The number of joint gradients `∇_z log p(x, z)`. Reported as 0 for a joint fit of decoder and encoder,
    /// whose gradients are also taken with respect to the decoder's weights.
    pub joint_gradients: u64,
}

/// Fits `encoder` to the frozen `model`, by `objective`.
///
/// Its gradient in `λ` is computed from the score and pulled back through the encoder, so the decoder is never
/// differentiated with respect to its weights. `context` is told how far the fit is, and keeps its checkpoints.
///
/// # Errors
///
/// [`InferError::Diverged`] if a weight stops being finite; [`InferError::Checkpoint`] if a checkpoint cannot be kept.
pub fn fit_encoder(
    model: &dyn LatentVariableModel,
    family: &dyn VariationalFamily,
    encoder: &mut Encoder,
    data: &Dataset,
    (training, objective): (&TrainingSpec, &ObjectiveSpec),
    key: SeedKey,
    context: &dyn FitContext,
) -> Result<TrainingCost, InferError> {
    let begun = Instant::now();
    let by_elbo = objective.is_elbo();
    let objective = build_objective(objective);
    // Of each datapoint, a step has so many sets of the draws that the objective weighs against each other.
    let n_sets = training.n_samples.get();
    let n_samples = n_sets.saturating_mul(objective.draws_per_estimate());
    let training = &TrainingSpec {
        n_samples: Count::new(n_samples),
        ..*training
    };
    let subject = FitSubject {
        what: "encoder",
        rate_key: "encoder_training.learning_rate",
    };
    let (network, standardization) = encoder.parts_for_fitting();
    let learner = NetworkLearner::new(network, minibatch_size(training, data));
    let on_rows =
        by_elbo && can_train_without_tensors(&learner, family, data) && model.is_on_kernels();
    let data_of_encoder = EncoderData {
        data,
        standardization,
    };
    let trainer = Trainer {
        encoder: EncoderLearner::new(learner, family, data_of_encoder, model.device(), on_rows),
        scores: FrozenModel::new(model, objective.as_ref(), data, on_rows)?,
    };
    let fit = FitSettings {
        subject,
        training,
        noise_dim: family.noise_dim() as usize,
        key,
        begun,
        context,
    };
    let seconds = trainer.run(&fit, data.len())?;
    Ok(TrainingCost {
        seconds,
        joint_gradients: u64::from(training.steps.get())
            .saturating_mul(minibatch_size(training, data) as u64)
            .saturating_mul(u64::from(n_samples)),
    })
}

/// Fits `decoder` and `encoder` jointly, as a VAE (Kingma and Welling 2014).
///
/// At most two of the `threads` are used: the decoder takes its Adam step on the second while the encoder
/// takes its own. The result does not depend on their number. `context` is told how far the fit is, and keeps its
/// checkpoints.
///
/// # Errors
///
/// [`InferError::Diverged`] if a weight stops being finite; [`InferError::Checkpoint`] if a checkpoint cannot be kept.
pub fn fit_decoder_and_encoder(
    decoder: &mut MlpDecoder,
    family: &dyn VariationalFamily,
    encoder: &mut Encoder,
    data: &Dataset,
    (training, threads): (&TrainingSpec, usize),
    key: SeedKey,
    context: &dyn FitContext,
) -> Result<TrainingCost, InferError> {
    let begun = Instant::now();
    let subject = FitSubject {
        what: "decoder",
        rate_key: "model.training.learning_rate",
    };
    let device = decoder.device();
    let most_rows = minibatch_size(training, data);
    let most_draws = most_rows * training.n_samples.get() as usize;
    let (network, standardization) = encoder.parts_for_fitting();
    let learner = NetworkLearner::new(network, most_rows);
    let scores = DecoderLearner::new(decoder, most_draws, threads > 1);
    let on_rows = can_train_without_tensors(&learner, family, data) && scores.is_on_kernels();
    let data_of_encoder = EncoderData {
        data,
        standardization,
    };
    let trainer = Trainer {
        encoder: EncoderLearner::new(learner, family, data_of_encoder, device, on_rows),
        scores,
    };
    let fit = FitSettings {
        subject,
        training,
        noise_dim: family.noise_dim() as usize,
        key,
        begun,
        context,
    };
    let seconds = trainer.run(&fit, data.len())?;
    Ok(TrainingCost {
        seconds,
        joint_gradients: 0,
    })
}
