//! From specs to encoders, new and stored, and what fitting them cost.

use super::failed;
use super::models::{Observed, activation};
use crate::run::RunError;
use gap_data::Dataset;
use gap_infer::train::TrainingCost;
use gap_infer::{Encoder, VariationalFamily};
use gap_model::{ConvShape, Network};
use gap_schema::record::EncoderKind;
use gap_schema::spec::{EncoderSpec, ModelTrainingSpec};
use gap_torch::SeedKey;
use gap_torch::checkpoint::Checkpoint;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use tch::{Device, Kind};

/// The encoder's weights in its stage's folder.
const ENCODER: &str = "encoder.safetensors";
/// The names of its weights begin with this.
const WEIGHTS: &str = "encoder";
/// What fitting the encoder cost.
const FIT: &str = "fit.json";

/// A number that is always the same has no standard deviation to divide by.
const LEAST_STD: f64 = 1e-6;

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

/// What an encoder's network is built from.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    pub spec: &'a EncoderSpec,
    pub observed: Observed,
    pub family: &'a dyn VariationalFamily,
}

impl Plan<'_> {
    /// Observations that the encoder sees, its datapoint's own and its neighbours'.
    pub fn context(&self) -> u32 {
        let written = self.spec.context.as_ref();
        written.map_or(self.observed.most_context, |n| n.get_ref().get())
    }

    /// A network with random weights, drawn with `key`.
    fn network(&self, key: SeedKey, device: Device) -> Network {
        let activation = activation(self.spec.activation());
        let hidden = self.spec.widths().into_iter().map(i64::from);
        let n_outputs = self.family.param_dim();
        match self.spec.kind {
            EncoderKind::Linear | EncoderKind::Mlp => {
                let unseen = self.observed.most_context - self.context();
                let n_inputs = self.observed.dim - i64::from(unseen);
                let widths: Vec<i64> = std::iter::once(n_inputs)
                    .chain(hidden)
                    .chain([n_outputs])
                    .collect();
                Network::random(&widths, activation, key, device)
            }
            EncoderKind::Conv => {
                let channels: Vec<i64> = hidden.collect();
                let shape = ConvShape::halving(self.observed.side(), [channels[0], channels[1]]);
                shape.encoder(n_outputs, activation, key, device)
            }
        }
    }

    /// A new encoder, drawn with `key`.
    pub fn random(&self, key: SeedKey, device: Device) -> Encoder {
        Encoder::starting_at_zero(self.network(key, device))
    }

    /// The same for real numbers of any size, as `data` has them: it begins as a random network of what is
    /// left when their means are taken away and their standard deviations divided out.
    pub fn random_for(&self, data: &Dataset, key: SeedKey, device: Device) -> Encoder {
        let network = self.network(key, device);
        let x = data.x().narrow(1, 0, network.input_dim()).to_device(device);
        let rows = [0_i64];
        let mean = x.mean_dim(rows.as_slice(), false, Kind::Float);
        let std = x
            .std_dim(rows.as_slice(), false, false)
            .clamp_min(LEAST_STD);
        Encoder::starting_at_zero(network.on_standardized(&mean, &std))
    }

    /// The encoder of a finished stage.
    pub fn load(&self, folder: &Path, device: Device) -> Result<Encoder, RunError> {
        let checkpoint = Checkpoint::load(&folder.join(ENCODER)).map_err(failed)?;
        let network = self.network(SeedKey::root(0), Device::Cpu);
        let network = network.restored(&checkpoint, WEIGHTS, device);
        Ok(Encoder::new(network.map_err(failed)?))
    }
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
        channels: None,
        context: None,
        activation: None,
    })
}

/// Keeps a fitted encoder, and what it cost, in its stage's folder.
pub fn save(encoder: &Encoder, cost: TrainingCost, folder: &Path) -> Result<(), RunError> {
    let mut checkpoint = Checkpoint::new();
    encoder.network().store(&mut checkpoint, WEIGHTS);
    super::save(&checkpoint, &folder.join(ENCODER))?;
    let text = serde_json::to_string(&Fit::from(cost)).map_err(failed)?;
    fs::write(folder.join(FIT), text).map_err(failed)
}

/// What the fit of a finished stage cost.
pub fn load_fit(folder: &Path) -> Result<Fit, RunError> {
    let text = fs::read_to_string(folder.join(FIT)).map_err(failed)?;
    serde_json::from_str(&text).map_err(failed)
}
