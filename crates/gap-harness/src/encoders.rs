//! Encoders in stage folders: their layout, their weights, and what fitting them cost.

use crate::error::{RunError, stage_error};
use crate::json_file::{read_json, write_json};
use crate::models::ObservationShape;
use gap_data::Dataset;
use gap_infer::train::TrainingCost;
use gap_infer::{Encoder, VariationalFamily, family};
use gap_model::{ConvShape, Network};
use gap_spec::{EncoderKind, EncoderLabel, EncoderSpec, Family};
use gap_store::{StageInput, StageOutput};
use gap_torch::SeedKey;
use gap_torch::checkpoint::Checkpoint;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

/// The file with the [`EncoderLayout`] of a stage's encoder.
const LAYOUT_FILE: &str = "encoder.json";
/// The file with the weights of a stage's encoder.
const WEIGHTS_FILE: &str = "encoder.safetensors";
/// The first part of the names of an encoder's weights.
const WEIGHTS_PREFIX: &str = "encoder";
/// The file that says what fitting the encoder cost.
const FIT_COST_FILE: &str = "fit.json";

/// The least standard deviation that an input is divided by, since that of a constant input is zero.
const MIN_STANDARDIZATION_STD: f64 = 1e-6;

/// What an encoder's network is built from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EncoderLayout {
    /// The kind of network, and its layers.
    pub encoder: EncoderSpec,
    /// The shape of the observations that it maps to `q`.
    pub observed: ObservationShape,
    /// The family whose `λ` the encoder outputs.
    pub family: Family,
    /// The latent dimension, `D`.
    pub latent_dim: i64,
}

impl EncoderLayout {
    /// The number of observations that the encoder sees: its datapoint's own, and those of neighbours.
    fn context(&self) -> u32 {
        let written = self.encoder.context;
        written.map_or(self.observed.most_context, |n| n.get())
    }

    /// A network with random weights, drawn with `key`.
    fn network(&self, key: SeedKey, device: Device) -> Network {
        let activation = self.encoder.activation();
        let hidden = self.encoder.widths().into_iter().map(i64::from);
        let n_outputs = self.family.param_dim(self.latent_dim as usize) as i64;
        match self.encoder.kind {
            EncoderKind::Linear | EncoderKind::Mlp => {
                let unseen = self.observed.most_context - self.context();
                let n_inputs = self.observed.dim - i64::from(unseen);
                let widths: Vec<i64> = std::iter::once(n_inputs)
                    .chain(hidden)
                    .chain([n_outputs])
                    .collect();
                Network::random_perceptron(&widths, activation, key, device)
            }
            EncoderKind::Conv => {
                let channels: Vec<i64> = hidden.collect();
                let shape =
                    ConvShape::with_stride_two(self.observed.side(), [channels[0], channels[1]]);
                shape.random_encoder(n_outputs, activation, key, device)
            }
        }
    }

    /// A new encoder: random hidden layers, drawn with `key`, and an output layer of zeros.
    pub fn random(&self, key: SeedKey, device: Device) -> Encoder {
        Encoder::with_zero_output_layer(self.network(key, device))
    }

    /// A new encoder as from [`Self::random`], for real numbers of any size: its first layer also subtracts the
    /// means of `data` and divides by its standard deviations.
    pub fn random_encoder_on_standardized(
        &self,
        data: &Dataset,
        key: SeedKey,
        device: Device,
    ) -> Encoder {
        let network = self.network(key, device);
        let x = data.x().narrow(1, 0, network.input_dim()).to_device(device);
        let rows = [0_i64];
        let mean = x.mean_dim(rows.as_slice(), false, Kind::Float);
        let std = x
            .std_dim(rows.as_slice(), false, false)
            .clamp_min(MIN_STANDARDIZATION_STD);
        Encoder::with_zero_output_layer(network.fold_in_standardization(&mean, &std))
    }
}

/// The encoder of a finished stage.
pub struct FittedEncoder {
    /// `x ↦ λ`.
    pub encoder: Encoder,
    /// The family whose `λ` the encoder outputs.
    pub family: Box<dyn VariationalFamily>,
    /// Its label in results.
    pub label: EncoderLabel,
    /// What fitting it cost.
    pub cost: TrainingCost,
}

/// The content of [`FIT_COST_FILE`].
#[derive(Serialize, Deserialize)]
struct FitCostFile {
    /// Wall time, seconds.
    seconds: f64,
    /// The total number of joint gradients, as in [`TrainingCost`].
    joint_gradients: u64,
}

/// Adds a fitted encoder, its layout and its cost to the files of its stage.
pub fn save_encoder(
    layout: &EncoderLayout,
    encoder: &Encoder,
    cost: TrainingCost,
    output: &StageOutput,
) -> Result<(), RunError> {
    let mut checkpoint = Checkpoint::new();
    encoder.network().store(&mut checkpoint, WEIGHTS_PREFIX);
    output.add(WEIGHTS_FILE, checkpoint.to_bytes().map_err(stage_error)?);
    let fit = FitCostFile {
        seconds: cost.seconds,
        joint_gradients: cost.joint_gradients,
    };
    write_json(&fit, output, FIT_COST_FILE)?;
    write_json(layout, output, LAYOUT_FILE)
}

/// Loads the encoder from the files of a finished stage.
pub fn load_encoder(input: StageInput, device: Device) -> Result<FittedEncoder, RunError> {
    let layout: EncoderLayout = read_json(input, LAYOUT_FILE)?;
    let checkpoint = Checkpoint::from_bytes(&input.read(WEIGHTS_FILE)?).map_err(stage_error)?;
    let network = layout.network(SeedKey::root(0), Device::Cpu);
    let network = network.restored(&checkpoint, WEIGHTS_PREFIX, device);
    let encoder = Encoder::new(network.map_err(stage_error)?);
    let fit: FitCostFile = read_json(input, FIT_COST_FILE)?;
    Ok(FittedEncoder {
        label: EncoderLabel {
            kind: layout.encoder.kind,
            hidden: layout.encoder.widths(),
            weights: encoder.network().n_weights(),
            context: layout.context(),
        },
        family: family::build_family(layout.family, layout.latent_dim),
        encoder,
        cost: TrainingCost {
            seconds: fit.seconds,
            joint_gradients: fit.joint_gradients,
        },
    })
}
