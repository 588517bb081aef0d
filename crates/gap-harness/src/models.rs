//! Models in the folders of stages: what they are built from, drawn or fitted, and their weights.

use crate::error::{RunError, stage_error};
use crate::json_file::{read_json, write_json};
use gap_model::likelihood::ObservedValues;
use gap_model::{
    ConvShape, Decoder, LatentVariableModel, Likelihood, LinearGaussian, Network,
    NonlinearHierarchical, SeriesCoefficients, TimeSeries, hierarchical,
};
use gap_spec::{ModelKind, ModelSpec, Positive};
use gap_torch::SeedKey;
use gap_torch::checkpoint::{Checkpoint, CheckpointError};
use serde::{Deserialize, Serialize};
use std::path::Path;
use tch::Device;

/// What the model of a stage is built from, in its folder.
const LAYOUT_FILE: &str = "model.json";
/// Its weights.
const WEIGHTS_FILE: &str = "model.safetensors";
/// The names of a decoder's weights begin with this.
const WEIGHTS_PREFIX: &str = "decoder";

/// Standard deviation of the noise of a linear-Gaussian model whose spec names none.
const DEFAULT_NOISE_STD: f64 = 1.0;

/// The size of an observation, and what a row of them holds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ObservationShape {
    /// `X`.
    pub dim: i64,
    /// Pixels along a side, of square images.
    pub side: Option<i64>,
    /// Grey levels from 0 to 1, where numbers are levels.
    pub n_levels: Option<i64>,
    /// Observations that a row holds: its own, and its neighbours' where there are any.
    pub most_context: u32,
}

impl ObservationShape {
    /// Pixels along a side. A spec with convolutions was held against the data.
    pub fn side(&self) -> i64 {
        self.side.expect("convolutions are refused on other data")
    }
}

/// `X` of data that is drawn from a model.
pub fn observed_dim(model: &ModelSpec) -> i64 {
    match model.kind {
        ModelKind::TimeSeries => 2,
        ModelKind::HierarchicalLinear | ModelKind::HierarchicalNonlinear => 1,
        _ => model.observed_dim.map_or(1, |dim| i64::from(dim.get())),
    }
}

/// A model of some kind, which can be kept.
pub enum Model {
    /// A network from `z` to the parameters of a likelihood.
    Decoder(Decoder),
    /// `x = W z + b + noise`.
    LinearGaussian(LinearGaussian),
    /// A series.
    TimeSeries(TimeSeries),
    /// One number for each datapoint, not linear in `z`.
    NonlinearHierarchical(NonlinearHierarchical),
}

impl Model {
    /// Keeps the model, and what it is built from, in its stage's folder.
    pub fn save(&self, layout: &ModelLayout, folder: &Path) -> Result<(), RunError> {
        let mut checkpoint = Checkpoint::new();
        match self {
            Self::Decoder(decoder) => decoder.store(&mut checkpoint, WEIGHTS_PREFIX),
            Self::LinearGaussian(model) => model.store(&mut checkpoint),
            Self::TimeSeries(model) => model.store(&mut checkpoint),
            Self::NonlinearHierarchical(model) => model.store(&mut checkpoint),
        }
        checkpoint
            .save(&folder.join(WEIGHTS_FILE))
            .map_err(stage_error)?;
        write_json(layout, &folder.join(LAYOUT_FILE))
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

/// The frozen model in the folder of a finished stage.
pub fn load_model(folder: &Path, device: Device) -> Result<Box<dyn LatentVariableModel>, RunError> {
    let layout: ModelLayout = read_json(&folder.join(LAYOUT_FILE))?;
    let checkpoint = Checkpoint::load(&folder.join(WEIGHTS_FILE)).map_err(stage_error)?;
    let model = layout.restored(&checkpoint, device).map_err(stage_error)?;
    Ok(model.into_boxed())
}

/// What a model is built from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModelLayout {
    /// Its kind, and its sizes.
    pub model: ModelSpec,
    /// The size of its observations, and what a row of them holds.
    pub observed: ObservationShape,
}

impl ModelLayout {
    /// `D`.
    pub fn latent_dim(&self) -> i64 {
        i64::from(self.model.latent_dim.get())
    }

    /// A model, drawn with `key` where anything of it is.
    pub fn random(&self, key: SeedKey, device: Device) -> Model {
        match self.model.kind {
            ModelKind::MlpDecoder | ModelKind::ConvDecoder => {
                Model::Decoder(self.random_decoder(key, device))
            }
            ModelKind::LinearGaussian => {
                let dims = [self.latent_dim(), self.observed.dim];
                let (std, key) = (noise_std(&self.model), key.for_role("model"));
                Model::LinearGaussian(match self.model.condition_number {
                    None => LinearGaussian::random(dims[0], dims[1], std, key, device),
                    Some(number) => {
                        LinearGaussian::with_condition_number(dims, std, number.get(), key, device)
                    }
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
        }
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

/// The likelihood of a decoder, before anything of it is learned.
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
