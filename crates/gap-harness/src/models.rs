//! Creates models from a spec, and keeps their layout and weights in stage folders.

use crate::error::{RunError, stage_error};
use crate::json_file::{read_json, write_json};
use gap_model::likelihood::ObservedValues;
use gap_model::{
    ConvShape, Decoder, LatentVariableModel, Likelihood, LinearGaussian, Network,
    NonlinearHierarchical, SeriesCoefficients, TimeSeries, hierarchical,
};
use gap_spec::{FloatPrecision, ModelKind, ModelSpec, Positive};
use gap_store::{StageInput, StageOutput};
use gap_torch::SeedKey;
use gap_torch::checkpoint::{Checkpoint, CheckpointError};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

/// The file with the [`ModelLayout`] of a stage's model.
pub const LAYOUT_FILE: &str = "model.json";
/// The file with the weights of a stage's model.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// The first part of the names of a decoder's weights.
const WEIGHTS_PREFIX: &str = "decoder";

/// The standard deviation of the noise of a linear-Gaussian model whose spec does not set it.
const DEFAULT_NOISE_STD: f64 = 1.0;

/// The size of an observation, and what its numbers are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ObservationShape {
    /// The length of a row of observations, `X`.
    pub dim: i64,
    /// Pixels along a side, if observations are square images.
    pub side: Option<i64>,
    /// The number of grey levels from 0 to 1; `None` for synthetic data, which are real numbers of any size.
    pub n_levels: Option<i64>,
    /// The number of observations in a row: the datapoint's own, and those of its neighbours in a series.
    pub most_context: u32,
}

impl ObservationShape {
    /// Pixels along a side.
    ///
    /// # Panics
    ///
    /// If observations are not square images. Only convolutions need the side, and a spec that has them for
    /// other data is refused.
    pub fn side(&self) -> i64 {
        self.side.expect("convolutions are refused on other data")
    }
}

/// The length of an observation, `X`, of data that is drawn from `model`.
pub fn observed_dim(model: &ModelSpec) -> i64 {
    match model.kind {
        ModelKind::TimeSeries => 2,
        ModelKind::HierarchicalLinear | ModelKind::HierarchicalNonlinear => 1,
        _ => model.observed_dim.map_or(1, |dim| i64::from(dim.get())),
    }
}

/// A model of any kind, which can be saved.
pub enum Model {
    /// A network from `z` to the parameters of a likelihood.
    Decoder(Decoder),
    /// `x = W z + b + noise`.
    LinearGaussian(LinearGaussian),
    /// A time series.
    TimeSeries(TimeSeries),
    /// One observed number for each datapoint, with a mean that is not linear in `z`.
    NonlinearHierarchical(NonlinearHierarchical),
}

impl Model {
    /// Adds the model and its layout to the files of its stage.
    pub fn save(&self, layout: &ModelLayout, output: &StageOutput) -> Result<(), RunError> {
        let mut checkpoint = Checkpoint::new();
        match self {
            Self::Decoder(decoder) => decoder.store(&mut checkpoint, WEIGHTS_PREFIX),
            Self::LinearGaussian(model) => model.store(&mut checkpoint),
            Self::TimeSeries(model) => model.store(&mut checkpoint),
            Self::NonlinearHierarchical(model) => model.store(&mut checkpoint),
        }
        output.add(WEIGHTS_FILE, checkpoint.to_bytes().map_err(stage_error)?);
        write_json(layout, output, LAYOUT_FILE)
    }

    /// The same model with numbers of this kind.
    fn of_kind(self, kind: Kind) -> Self {
        match self {
            Self::Decoder(model) if model.kind() != kind => Self::Decoder(model.to_kind(kind)),
            Self::LinearGaussian(model) if model.kind() != kind => {
                Self::LinearGaussian(model.to_kind(kind))
            }
            Self::TimeSeries(model) if model.kind() != kind => {
                Self::TimeSeries(model.to_kind(kind))
            }
            Self::NonlinearHierarchical(model) if model.kind() != kind => {
                Self::NonlinearHierarchical(model.to_kind(kind))
            }
            model => model,
        }
    }

    fn into_boxed(self) -> Box<dyn LatentVariableModel> {
        match self {
            Self::Decoder(model) => Box::new(model),
            Self::LinearGaussian(model) => Box::new(model),
            Self::TimeSeries(model) => Box::new(model),
            Self::NonlinearHierarchical(model) => Box::new(model),
        }
    }
}

/// The kind of tensors with numbers of this precision.
pub const fn number_kind(precision: FloatPrecision) -> Kind {
    match precision {
        FloatPrecision::Single => Kind::Float,
        FloatPrecision::Double => Kind::Double,
    }
}

/// Loads the frozen model from the files of a finished stage, with numbers of this precision.
pub fn load_model(
    input: StageInput,
    precision: FloatPrecision,
    device: Device,
) -> Result<Box<dyn LatentVariableModel>, RunError> {
    let model = read_model(&|name| Ok(input.read(name)?), device)?;
    Ok(model.of_kind(number_kind(precision)).into_boxed())
}

/// Reads a model; `read` gives the content of each file that [`Model::save`] added.
pub fn read_model(
    read: &dyn Fn(&str) -> Result<Vec<u8>, RunError>,
    device: Device,
) -> Result<Model, RunError> {
    let layout: ModelLayout = read_json(&read(LAYOUT_FILE)?)?;
    let checkpoint = Checkpoint::from_bytes(&read(WEIGHTS_FILE)?).map_err(stage_error)?;
    layout.restored(&checkpoint, device).map_err(stage_error)
}

/// What a model is built from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModelLayout {
    /// The kind of model, and its sizes.
    pub model: ModelSpec,
    /// The shape of its observations.
    pub observed: ObservationShape,
}

impl ModelLayout {
    /// The latent dimension, `D`.
    pub fn latent_dim(&self) -> i64 {
        i64::from(self.model.latent_dim.get())
    }

    /// A new model with numbers of this kind; whatever is random in it is drawn with `key`.
    pub fn random(&self, key: SeedKey, kind: Kind, device: Device) -> Model {
        let model = match self.model.kind {
            ModelKind::MlpDecoder | ModelKind::ConvDecoder => {
                Model::Decoder(self.random_decoder(key, device))
            }
            ModelKind::LinearGaussian => {
                let dims = [self.latent_dim(), self.observed.dim];
                let (std, key) = (noise_std(&self.model), key.for_role("model"));
                Model::LinearGaussian(match self.model.condition_number {
                    None => LinearGaussian::random(dims[0], dims[1], std, key, device),
                    Some(number) => LinearGaussian::with_exact_condition_number(
                        dims,
                        std,
                        number.get(),
                        key,
                        device,
                    ),
                })
            }
            ModelKind::TimeSeries => {
                Model::TimeSeries(TimeSeries::new(SeriesCoefficients::SAW_NOTEBOOK, device))
            }
            ModelKind::HierarchicalLinear => {
                Model::LinearGaussian(hierarchical::new_linear_hierarchical(device))
            }
            ModelKind::HierarchicalNonlinear => {
                Model::NonlinearHierarchical(NonlinearHierarchical::new(0.0, device))
            }
        };
        model.of_kind(kind)
    }

    fn restored(&self, checkpoint: &Checkpoint, device: Device) -> Result<Model, CheckpointError> {
        Ok(match self.model.kind {
            ModelKind::MlpDecoder | ModelKind::ConvDecoder => {
                let decoder = self.random_decoder(SeedKey::root(0), Device::Cpu);
                Model::Decoder(decoder.restored(checkpoint, WEIGHTS_PREFIX, device)?)
            }
            ModelKind::LinearGaussian | ModelKind::HierarchicalLinear => {
                Model::LinearGaussian(LinearGaussian::restore(checkpoint, device)?)
            }
            ModelKind::TimeSeries => Model::TimeSeries(TimeSeries::restore(checkpoint, device)?),
            ModelKind::HierarchicalNonlinear => {
                Model::NonlinearHierarchical(NonlinearHierarchical::restore(checkpoint, device)?)
            }
        })
    }

    /// Checks that a file of safetensors has the weights of this model, and of no further layers.
    pub fn check_weights(&self, content: &[u8]) -> Result<(), CheckpointError> {
        let checkpoint = Checkpoint::from_bytes(content)?;
        let mut own = Checkpoint::new();
        if let Model::Decoder(decoder) = self.restored(&checkpoint, Device::Cpu)? {
            decoder.store(&mut own, WEIGHTS_PREFIX);
            let of_decoder = checkpoint
                .names()
                .filter(|name| name.starts_with(WEIGHTS_PREFIX));
            for name in of_decoder {
                if own.get(name, Device::Cpu).is_err() {
                    return Err(CheckpointError::Unexpected(name.to_owned()));
                }
                let tensor = checkpoint.get(name, Device::Cpu)?;
                if tensor.kind() != Kind::Float {
                    return Err(CheckpointError::NotFloat {
                        name: name.to_owned(),
                        kind: tensor.kind(),
                    });
                }
            }
        }
        Ok(())
    }

    /// A decoder with random weights, drawn with `key`.
    pub fn random_decoder(&self, key: SeedKey, device: Device) -> Decoder {
        let activation = self.model.activation();
        let key = key.for_role("model");
        let network = match (self.model.kind, self.model.channels) {
            (ModelKind::ConvDecoder, Some(channels)) => {
                let channels = channels.map(|count| i64::from(count.get()));
                let shape = ConvShape::with_stride_two(self.observed.side(), channels);
                shape.random_decoder(self.latent_dim(), activation, key, device)
            }
            _ => {
                let hidden = self.model.hidden.iter().flatten();
                let widths: Vec<i64> = std::iter::once(self.latent_dim())
                    .chain(hidden.map(|width| i64::from(width.get())))
                    .chain([self.observed.dim])
                    .collect();
                Network::random_perceptron(&widths, activation, key, device)
            }
        };
        Decoder::new(network, likelihood(&self.model, self.observed, device))
    }
}

/// The likelihood of a decoder before training.
pub fn likelihood(model: &ModelSpec, observed: ObservationShape, device: Device) -> Likelihood {
    let observations = ObservedValues {
        dim: observed.dim,
        n_levels: observed.n_levels,
    };
    Likelihood::from_kind(model.likelihood(), observations, noise_std(model), device)
}

fn noise_std(model: &ModelSpec) -> f64 {
    model.noise_std.map_or(DEFAULT_NOISE_STD, Positive::get)
}
