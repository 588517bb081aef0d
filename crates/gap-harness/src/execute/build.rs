//! From specs to models and encoders, new and stored.

use super::failed;
use crate::run::RunError;
use gap_infer::ascent::{AdamSettings, Noise, Phase, Rule, Schedule, Stopping, averaged_newton};
use gap_infer::free_form::{FIRST_TOLERANCE, Search};
use gap_infer::train::{Training, TrainingCost};
use gap_infer::{Encoder, VariationalFamily};
use gap_model::{LatentVariableModel, LinearGaussian, Mlp, MlpDecoder};
use gap_schema::CheckedSpec;
use gap_schema::record::EncoderKind;
use gap_schema::spec::{
    Activation, AscentKind, AscentSpec, Count, EncoderSpec, FreeFormSpec, Likelihood, ModelKind,
    ModelTrainingSpec, NoiseSource, Precision, Protocol, RefinementRule, RefinementSpec, StepRule,
    StoppingRule, TrainingSpec,
};
use gap_torch::SeedKey;
use gap_torch::checkpoint::Checkpoint;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use tch::Device;

/// The model's weights in its stage's folder.
pub const MODEL: &str = "model.safetensors";
/// The encoder's weights in its stage's folder.
pub const ENCODER: &str = "encoder.safetensors";
/// What fitting the encoder cost.
const FIT: &str = "fit.json";

/// Standard deviation of the noise of a linear-Gaussian model whose spec names none.
const DEFAULT_NOISE_STD: f64 = 1.0;

/// What fitting an encoder cost.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Fit {
    /// Wall time, seconds.
    pub seconds: f64,
    /// Joint gradients in all.
    pub joint_gradients: u64,
}

impl From<TrainingCost> for Fit {
    fn from(cost: TrainingCost) -> Self {
        Self {
            seconds: cost.seconds,
            joint_gradients: cost.joint_gradients,
        }
    }
}

/// A model that is drawn, not fitted.
pub enum RandomModel {
    Decoder(MlpDecoder),
    LinearGaussian(LinearGaussian),
}

impl RandomModel {
    pub fn store(&self, checkpoint: &mut Checkpoint) {
        match self {
            Self::Decoder(decoder) => decoder.network().store(checkpoint, "decoder"),
            Self::LinearGaussian(model) => model.store(checkpoint),
        }
    }
}

/// The model of a spec without training, drawn with `key`.
pub fn random_model(
    spec: &CheckedSpec,
    observed_dim: i64,
    key: SeedKey,
    device: Device,
) -> RandomModel {
    match spec.model.kind {
        ModelKind::MlpDecoder => {
            RandomModel::Decoder(random_decoder(spec, observed_dim, key, device))
        }
        ModelKind::LinearGaussian => {
            let dims = [latent_dim(spec), observed_dim];
            let (std, key) = (noise_std(spec), key.role("model"));
            RandomModel::LinearGaussian(match &spec.model.condition_number {
                None => LinearGaussian::random(dims[0], dims[1], std, key, device),
                Some(number) => {
                    let number = number.get_ref().get();
                    LinearGaussian::of_condition_number(dims, std, number, key, device)
                }
            })
        }
    }
}

/// A decoder with random weights, drawn with `key`.
pub fn random_decoder(
    spec: &CheckedSpec,
    observed_dim: i64,
    key: SeedKey,
    device: Device,
) -> MlpDecoder {
    let mut widths = vec![latent_dim(spec)];
    widths.extend(decoder_hidden(spec));
    widths.push(observed_dim);
    let network = Mlp::random(&widths, decoder_activation(spec), key.role("model"), device);
    MlpDecoder::new(network, likelihood(spec))
}

/// An encoder with random weights, drawn with `key`.
pub fn random_encoder(
    spec: &EncoderSpec,
    observed_dim: i64,
    family: &dyn VariationalFamily,
    key: SeedKey,
    device: Device,
) -> Encoder {
    let hidden: Vec<i64> = spec.widths().into_iter().map(i64::from).collect();
    Encoder::random(
        observed_dim,
        &hidden,
        family,
        activation(spec.activation()),
        key,
        device,
    )
}

/// The encoder that a decoder is fitted with: one of the experiment's for a joint decoder, that of
/// `[model.training]` for a shared one.
pub fn companion(joint: Option<&EncoderSpec>, training: &ModelTrainingSpec) -> EncoderSpec {
    joint.cloned().unwrap_or_else(|| EncoderSpec {
        kind: match &training.encoder_hidden {
            Some(hidden) if !hidden.get_ref().is_empty() => EncoderKind::Mlp,
            _ => EncoderKind::Linear,
        },
        hidden: training.encoder_hidden.clone(),
        activation: None,
    })
}

/// The frozen model of a finished stage.
pub fn load_model(
    folder: &Path,
    spec: &CheckedSpec,
    device: Device,
) -> Result<Box<dyn LatentVariableModel>, RunError> {
    let checkpoint = Checkpoint::load(&folder.join(MODEL)).map_err(failed)?;
    Ok(match spec.model.kind {
        ModelKind::LinearGaussian => {
            Box::new(LinearGaussian::restore(&checkpoint, device).map_err(failed)?)
        }
        ModelKind::MlpDecoder => {
            let n_layers = decoder_hidden(spec).len() + 1;
            let network = Mlp::restore(
                &checkpoint,
                "decoder",
                n_layers,
                decoder_activation(spec),
                device,
            )
            .map_err(failed)?;
            Box::new(MlpDecoder::new(network, likelihood(spec)))
        }
    })
}

/// The encoder of a finished stage.
pub fn load_encoder(
    folder: &Path,
    spec: &EncoderSpec,
    device: Device,
) -> Result<Encoder, RunError> {
    let checkpoint = Checkpoint::load(&folder.join(ENCODER)).map_err(failed)?;
    let n_layers = spec.widths().len() + 1;
    let network = Mlp::restore(
        &checkpoint,
        "encoder",
        n_layers,
        activation(spec.activation()),
        device,
    );
    Ok(Encoder::new(network.map_err(failed)?))
}

/// Notes what a fit cost in its stage's folder.
pub fn save_fit(folder: &Path, fit: Fit) -> Result<(), RunError> {
    let text = serde_json::to_string(&fit).map_err(failed)?;
    fs::write(folder.join(FIT), text).map_err(failed)
}

/// What the fit of a finished stage cost.
pub fn load_fit(folder: &Path) -> Result<Fit, RunError> {
    let text = fs::read_to_string(folder.join(FIT)).map_err(failed)?;
    serde_json::from_str(&text).map_err(failed)
}

/// The optimiser's settings of a spec.
pub const fn training(spec: &TrainingSpec, threads: usize) -> Training {
    Training {
        steps: spec.steps.get(),
        batch_size: spec.batch_size.get(),
        learning_rate: spec.learning_rate.get(),
        n_samples: spec.n_samples.get(),
        precision: precision(spec.precision),
        threads,
    }
}

/// The likelihood of a spec.
pub fn likelihood(spec: &CheckedSpec) -> gap_model::Likelihood {
    match spec.likelihood() {
        Likelihood::Bernoulli => gap_model::Likelihood::Bernoulli,
        Likelihood::Gaussian => gap_model::Likelihood::Gaussian {
            std: noise_std(spec),
        },
    }
}

/// How free-form ascents go on.
pub fn search(spec: &FreeFormSpec) -> Search {
    match spec.protocol {
        Protocol::Default => Search::UntilCertified,
        Protocol::AdamCremer2018 => Search::Once(Schedule::adam_cremer_2018(spec.max_steps.get())),
    }
}

/// How exact a product is far from an end.
pub const fn precision(spec: Precision) -> gap_infer::ascent::Precision {
    match spec {
        Precision::Mixed => gap_infer::ascent::Precision::Half,
        Precision::Full => gap_infer::ascent::Precision::Full,
    }
}

/// An ascent that is compared with others.
pub fn ascent_schedule(spec: &AscentSpec, dim: usize, tolerance_nats: f64) -> Schedule {
    let max_steps = spec.max_steps.get();
    match spec.kind() {
        AscentKind::Protocol(Protocol::Default) => {
            Schedule::default_for(dim, FIRST_TOLERANCE * tolerance_nats, max_steps)
        }
        AscentKind::Protocol(Protocol::AdamCremer2018) => Schedule::adam_cremer_2018(max_steps),
        AscentKind::Rule {
            rule,
            noise,
            n_samples,
            stopping,
            below_nats,
            learning_rate,
            averaged,
        } => Schedule {
            phases: vec![Phase {
                rule: match rule {
                    StepRule::Lbfgs => Rule::Lbfgs,
                    StepRule::NewtonStein => Rule::NewtonStein,
                    StepRule::AveragedNewton => Rule::AveragedNewton,
                    StepRule::NaturalGradient => Rule::NaturalGradient,
                    StepRule::Adam => Rule::Adam(adam(learning_rate, averaged)),
                },
                noise: noise_of(noise),
                n_samples: n_samples as usize,
                stopping: match stopping {
                    StoppingRule::Decrement => Stopping::Decrement { below_nats },
                    StoppingRule::AveragedDecrement => Stopping::AveragedDecrement { below_nats },
                    StoppingRule::Plateau => Stopping::CREMER_2018,
                    StoppingRule::Never => Stopping::Never,
                },
                max_steps,
                precision: gap_infer::ascent::Precision::Full,
            }],
        },
    }
}

const fn noise_of(noise: NoiseSource) -> Noise {
    match noise {
        NoiseSource::Fixed => Noise::Fixed,
        NoiseSource::Sequence => Noise::Sequence,
        NoiseSource::GrowingSequence => Noise::GrowingSequence,
        NoiseSource::Fresh => Noise::Fresh,
        NoiseSource::Independent => Noise::Independent,
    }
}

const fn adam(learning_rate: f64, averaged: bool) -> AdamSettings {
    AdamSettings {
        learning_rate,
        averaged,
        log_variance: false,
    }
}

/// The steps that refine an encoder's `q`.
pub fn refinement(spec: &RefinementSpec) -> Phase {
    let n_samples = spec.n_samples.get_ref().get() as usize;
    let max_steps = spec.numbers_of_steps().last().copied().unwrap_or(0);
    match spec.rule {
        RefinementRule::AveragedNewton => Phase {
            noise: Noise::Sequence,
            stopping: Stopping::Never,
            precision: precision(spec.precision),
            ..averaged_newton(n_samples, 0.0, max_steps)
        },
        RefinementRule::Adam => Phase {
            rule: Rule::Adam(adam(spec.learning_rate(), true)),
            noise: Noise::Fresh,
            n_samples,
            stopping: Stopping::Never,
            max_steps,
            precision: precision(spec.precision),
        },
    }
}

fn noise_std(spec: &CheckedSpec) -> f64 {
    let written = spec.model.noise_std.as_ref();
    written.map_or(DEFAULT_NOISE_STD, |std| std.get_ref().get())
}

fn latent_dim(spec: &CheckedSpec) -> i64 {
    i64::from(spec.model.latent_dim.get_ref().get())
}

fn decoder_hidden(spec: &CheckedSpec) -> Vec<i64> {
    let widths = |hidden: &Vec<Count>| hidden.iter().map(|width| i64::from(width.get())).collect();
    spec.model
        .hidden
        .as_ref()
        .map_or_else(Vec::new, |hidden| widths(hidden.get_ref()))
}

fn decoder_activation(spec: &CheckedSpec) -> gap_model::Activation {
    activation(
        spec.model
            .activation
            .as_ref()
            .map_or(Activation::Tanh, |a| *a.get_ref()),
    )
}

const fn activation(activation: Activation) -> gap_model::Activation {
    match activation {
        Activation::Tanh => gap_model::Activation::Tanh,
        Activation::Relu => gap_model::Activation::Relu,
        Activation::Elu => gap_model::Activation::Elu,
    }
}
