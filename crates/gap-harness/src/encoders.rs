//! Encoders in stage folders: their layout, their weights, and what fitting them cost.

use crate::error::{RunError, stage_error};
use crate::json_file::{read_json, write_json};
use crate::models::ObservationShape;
use gap_data::Dataset;
use gap_infer::train::TrainingCost;
use gap_infer::{Encoder, ModelDuringFit, Standardization, VariationalFamily, family};
use gap_model::{ConvShape, Network};
use gap_spec::{EncoderInputs, EncoderKind, EncoderLabel, EncoderSpec, Family};
use gap_store::{StageInput, StageOutput};
use gap_torch::SeedKey;
use gap_torch::checkpoint::Checkpoint;
use serde::{Deserialize, Serialize};
use tch::Device;

/// The file with the [`EncoderLayout`] of a stage's encoder.
pub const LAYOUT_FILE: &str = "encoder.json";
/// The file with the weights of a stage's encoder.
pub const WEIGHTS_FILE: &str = "encoder.safetensors";
/// The first part of the names of an encoder's weights.
const WEIGHTS_PREFIX: &str = "encoder";
/// The first part of the names of the means and scales by which an encoder standardizes its inputs.
const INPUTS_PREFIX: &str = "inputs";
/// The file that says how the encoder was fitted, and what that cost.
pub const FIT_FILE: &str = "fit.json";

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
            EncoderKind::Linear | EncoderKind::Mlp | EncoderKind::Own => {
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

    /// A new encoder to be fitted to `data`, with random weights drawn with `key`; and the number of its inputs that
    /// are the same at all points of `data`, if it standardizes them.
    pub fn for_fitting(
        &self,
        data: &Dataset,
        model: ModelDuringFit,
        key: SeedKey,
        device: Device,
    ) -> (Encoder, u64) {
        let family = family::build_family(self.family, self.latent_dim);
        let network = self.network(key, device);
        let n_inputs = network.input_dim();
        let encoder = Encoder::new_for_fitting(network, family.as_ref(), model);
        match self.inputs() {
            EncoderInputs::Raw => (encoder, 0),
            EncoderInputs::Standardized => {
                let seen = data.x().narrow(1, 0, n_inputs).to_device(device);
                let (standardization, n_constant) = Standardization::from_data(&seen);
                (encoder.with_standardization(standardization), n_constant)
            }
        }
    }

    /// How the encoder sees observations.
    fn inputs(&self) -> EncoderInputs {
        // Levels from 0 to 1 have no other units, and a pixel that is hardly ever set would be magnified where it is.
        let by_default = match self.observed.n_levels {
            None => EncoderInputs::Standardized,
            Some(_) => EncoderInputs::Raw,
        };
        self.encoder.inputs.unwrap_or(by_default)
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
    /// How it was fitted.
    pub fit: EncoderFit,
}

/// How an encoder was fitted.
#[derive(Clone, Copy, Debug, Default)]
pub struct EncoderFit {
    /// What fitting it cost.
    pub cost: TrainingCost,
    /// The number of its inputs that are the same at all training points, of those that it standardizes.
    pub constant_inputs: u64,
}

/// The content of [`FIT_FILE`].
#[derive(Serialize, Deserialize)]
struct FitFile {
    /// Wall time, seconds.
    seconds: f64,
    /// The total number of joint gradients, as in [`TrainingCost`].
    joint_gradients: u64,
    /// As in [`EncoderFit`].
    #[serde(default)]
    constant_inputs: u64,
}

/// Adds a fitted encoder, its layout and how it was fitted to the files of its stage.
pub fn save_encoder(
    layout: &EncoderLayout,
    encoder: &Encoder,
    fit: EncoderFit,
    output: &StageOutput,
) -> Result<(), RunError> {
    let mut checkpoint = Checkpoint::new();
    encoder.network().store(&mut checkpoint, WEIGHTS_PREFIX);
    if let Some(standardization) = encoder.standardization() {
        standardization.store(&mut checkpoint, INPUTS_PREFIX);
    }
    output.add(WEIGHTS_FILE, checkpoint.to_bytes().map_err(stage_error)?);
    let fit = FitFile {
        seconds: fit.cost.seconds,
        joint_gradients: fit.cost.joint_gradients,
        constant_inputs: fit.constant_inputs,
    };
    write_json(&fit, output, FIT_FILE)?;
    write_json(layout, output, LAYOUT_FILE)
}

/// Loads the encoder from the files of a finished stage.
pub fn load_encoder(input: StageInput, device: Device) -> Result<FittedEncoder, RunError> {
    read_encoder(&|name| Ok(input.read(name)?), device)
}

/// Reads an encoder; `read` gives the content of each file that [`save_encoder`] added.
pub fn read_encoder(
    read: &dyn Fn(&str) -> Result<Vec<u8>, RunError>,
    device: Device,
) -> Result<FittedEncoder, RunError> {
    let layout: EncoderLayout = read_json(&read(LAYOUT_FILE)?)?;
    let checkpoint = Checkpoint::from_bytes(&read(WEIGHTS_FILE)?).map_err(stage_error)?;
    let network = layout.network(SeedKey::root(0), Device::Cpu);
    let network = network.restored(&checkpoint, WEIGHTS_PREFIX, device);
    let mut encoder = Encoder::new(network.map_err(stage_error)?);
    if matches!(layout.inputs(), EncoderInputs::Standardized) {
        let n_inputs = encoder.network().input_dim();
        let read = Standardization::restore(&checkpoint, INPUTS_PREFIX, n_inputs, device);
        encoder = encoder.with_standardization(read.map_err(stage_error)?);
    }
    let fit: FitFile = read_json(&read(FIT_FILE)?)?;
    Ok(FittedEncoder {
        label: EncoderLabel {
            kind: layout.encoder.kind,
            hidden: layout.encoder.widths(),
            weights: encoder.network().n_weights(),
            context: layout.context(),
            objective: layout.encoder.objective.label(),
        },
        family: family::build_family(layout.family, layout.latent_dim),
        encoder,
        fit: EncoderFit {
            cost: TrainingCost {
                seconds: fit.seconds,
                joint_gradients: fit.joint_gradients,
            },
            constant_inputs: fit.constant_inputs,
        },
    })
}
