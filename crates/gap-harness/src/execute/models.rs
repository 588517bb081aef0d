//! From specs to models, drawn and stored.

use super::failed;
use crate::run::RunError;
use gap_model::likelihood::{DiscretizedLogistic, LearnedGaussian, LearnedScale, rounding_std};
use gap_model::{
    ConvShape, Decoder, LatentVariableModel, LinearGaussian, Network, NonlinearHierarchical,
    SeriesCoefficients, TimeSeries, hierarchical,
};
use gap_schema::CheckedSpec;
use gap_schema::spec::{Activation, Likelihood, ModelKind};
use gap_torch::SeedKey;
use gap_torch::checkpoint::{Checkpoint, CheckpointError};
use std::path::Path;
use tch::Device;

/// The model's weights in its stage's folder.
const MODEL: &str = "model.safetensors";
/// The names of a decoder's weights begin with this.
const DECODER: &str = "decoder";

/// Standard deviation of the noise of a linear-Gaussian model whose spec names none.
const DEFAULT_NOISE_STD: f64 = 1.0;

/// Standard deviation of a pixel, and scale of its logistic variable, before anything is learned.
const INITIAL_SCALE: f64 = 0.2;

/// The scale below which no pixel's logistic variable goes, in distances of two levels: at it a level
/// has a probability of up to 0.987.
const LOGISTIC_FLOOR: f64 = 0.1;

/// What observations look like.
#[derive(Clone, Copy, Debug)]
pub struct Observed {
    /// `X`.
    pub dim: i64,
    /// Pixels along a side, of square images.
    pub side: Option<i64>,
    /// Grey levels from 0 to 1, where numbers are levels.
    pub n_levels: Option<i64>,
    /// Observations that a row holds: its own, and its neighbours' where there are any.
    pub most_context: u32,
}

impl Observed {
    /// Pixels along a side. A spec with convolutions was held against the data.
    pub fn side(&self) -> i64 {
        self.side.expect("convolutions are refused on other data")
    }
}

/// `X` of data that is drawn from the model.
pub fn observed_dim(spec: &CheckedSpec) -> i64 {
    let written = spec.model.observed_dim.as_ref();
    match spec.model.kind {
        ModelKind::TimeSeries => 2,
        ModelKind::HierarchicalLinear | ModelKind::HierarchicalNonlinear => 1,
        _ => written.map_or(1, |dim| i64::from(dim.get_ref().get())),
    }
}

/// A model of some kind, which can be kept.
pub enum Model {
    Decoder(Decoder),
    LinearGaussian(LinearGaussian),
    TimeSeries(TimeSeries),
    NonlinearHierarchical(NonlinearHierarchical),
}

impl Model {
    /// The model of a spec, drawn with `key` where anything of it is.
    pub fn random(spec: &CheckedSpec, observed: Observed, key: SeedKey, device: Device) -> Self {
        match spec.model.kind {
            ModelKind::MlpDecoder | ModelKind::ConvDecoder => {
                Self::Decoder(random_decoder(spec, observed, key, device))
            }
            ModelKind::LinearGaussian => {
                let dims = [latent_dim(spec), observed.dim];
                let (std, key) = (noise_std(spec), key.role("model"));
                Self::LinearGaussian(match &spec.model.condition_number {
                    None => LinearGaussian::random(dims[0], dims[1], std, key, device),
                    Some(number) => {
                        let number = number.get_ref().get();
                        LinearGaussian::of_condition_number(dims, std, number, key, device)
                    }
                })
            }
            ModelKind::TimeSeries => {
                Self::TimeSeries(TimeSeries::new(SeriesCoefficients::SAW, device))
            }
            ModelKind::HierarchicalLinear => Self::LinearGaussian(hierarchical::linear(device)),
            ModelKind::HierarchicalNonlinear => {
                Self::NonlinearHierarchical(NonlinearHierarchical::new(0.0, device))
            }
        }
    }

    fn restore(
        spec: &CheckedSpec,
        observed: Observed,
        checkpoint: &Checkpoint,
        device: Device,
    ) -> Result<Self, CheckpointError> {
        Ok(match spec.model.kind {
            ModelKind::MlpDecoder | ModelKind::ConvDecoder => {
                let decoder = random_decoder(spec, observed, SeedKey::root(0), Device::Cpu);
                Self::Decoder(decoder.restored(checkpoint, DECODER, device)?)
            }
            ModelKind::LinearGaussian | ModelKind::HierarchicalLinear => {
                Self::LinearGaussian(LinearGaussian::restore(checkpoint, device)?)
            }
            ModelKind::TimeSeries => Self::TimeSeries(TimeSeries::restore(checkpoint, device)?),
            ModelKind::HierarchicalNonlinear => {
                Self::NonlinearHierarchical(NonlinearHierarchical::restore(checkpoint, device)?)
            }
        })
    }

    /// Keeps the model in its stage's folder.
    pub fn save(&self, folder: &Path) -> Result<(), RunError> {
        let mut checkpoint = Checkpoint::new();
        match self {
            Self::Decoder(decoder) => decoder.store(&mut checkpoint, DECODER),
            Self::LinearGaussian(model) => model.store(&mut checkpoint),
            Self::TimeSeries(model) => model.store(&mut checkpoint),
            Self::NonlinearHierarchical(model) => model.store(&mut checkpoint),
        }
        super::save(&checkpoint, &folder.join(MODEL))
    }

    fn boxed(self) -> Box<dyn LatentVariableModel> {
        match self {
            Self::Decoder(model) => Box::new(model),
            Self::LinearGaussian(model) => Box::new(model),
            Self::TimeSeries(model) => Box::new(model),
            Self::NonlinearHierarchical(model) => Box::new(model),
        }
    }
}

/// The frozen model of a finished stage.
pub fn load(
    folder: &Path,
    spec: &CheckedSpec,
    observed: Observed,
    device: Device,
) -> Result<Box<dyn LatentVariableModel>, RunError> {
    let checkpoint = Checkpoint::load(&folder.join(MODEL)).map_err(failed)?;
    let model = Model::restore(spec, observed, &checkpoint, device).map_err(failed)?;
    Ok(model.boxed())
}

/// A decoder with random weights, drawn with `key`.
pub fn random_decoder(
    spec: &CheckedSpec,
    observed: Observed,
    key: SeedKey,
    device: Device,
) -> Decoder {
    let activation = decoder_activation(spec);
    let key = key.role("model");
    let network = match (spec.model.kind, &spec.model.channels) {
        (ModelKind::ConvDecoder, Some(channels)) => {
            let channels = channels.get_ref().map(|count| i64::from(count.get()));
            let shape = ConvShape::halving(observed.side(), channels);
            shape.decoder(latent_dim(spec), activation, key, device)
        }
        _ => {
            let mut widths = vec![latent_dim(spec)];
            widths.extend(decoder_hidden(spec));
            widths.push(observed.dim);
            Network::random(&widths, activation, key, device)
        }
    };
    Decoder::new(network, likelihood(spec, observed, device))
}

/// The likelihood of a spec, before anything of it is learned.
pub fn likelihood(spec: &CheckedSpec, observed: Observed, device: Device) -> gap_model::Likelihood {
    let levels = || observed.n_levels.expect("a learned likelihood has data");
    let scale = |floor: f64| LearnedScale::new(observed.dim, INITIAL_SCALE, floor, device);
    match spec.likelihood() {
        Likelihood::Bernoulli => gap_model::Likelihood::Bernoulli,
        Likelihood::Gaussian => gap_model::Likelihood::Gaussian {
            std: noise_std(spec),
        },
        Likelihood::LearnedGaussian => gap_model::Likelihood::LearnedGaussian(LearnedGaussian {
            std: scale(rounding_std(levels())),
        }),
        Likelihood::DiscretizedLogistic => {
            let n_levels = levels();
            let floor = LOGISTIC_FLOOR / (n_levels - 1) as f64;
            gap_model::Likelihood::DiscretizedLogistic(DiscretizedLogistic {
                n_levels,
                scale: scale(floor),
            })
        }
    }
}

fn noise_std(spec: &CheckedSpec) -> f64 {
    let written = spec.model.noise_std.as_ref();
    written.map_or(DEFAULT_NOISE_STD, |std| std.get_ref().get())
}

/// `D`.
pub fn latent_dim(spec: &CheckedSpec) -> i64 {
    i64::from(spec.model.latent_dim.get_ref().get())
}

fn decoder_hidden(spec: &CheckedSpec) -> impl Iterator<Item = i64> {
    let written = spec.model.hidden.as_ref();
    let widths = written.map_or(&[][..], |hidden| hidden.get_ref().as_slice());
    widths.iter().map(|width| i64::from(width.get()))
}

fn decoder_activation(spec: &CheckedSpec) -> gap_model::Activation {
    activation(
        spec.model
            .activation
            .as_ref()
            .map_or(Activation::Tanh, |a| *a.get_ref()),
    )
}

/// The nonlinearity between layers.
pub const fn activation(activation: Activation) -> gap_model::Activation {
    match activation {
        Activation::Tanh => gap_model::Activation::Tanh,
        Activation::Relu => gap_model::Activation::Relu,
        Activation::Elu => gap_model::Activation::Elu,
    }
}
