//! The observations of an experiment: read once from a data set, or drawn from its model.

use crate::chunk::Chunk;
use crate::error::{RunError, stage_error};
use crate::models::{self, ObservationShape};
use gap_data::{DataError, Dataset, LoadOptions, Splits};
use gap_model::{LatentVariableModel, ModelError};
use gap_spec::{CheckedSpec, EncoderKind, LikelihoodKind, ModelKind, Split};
use gap_torch::SeedKey;
use gap_torch::device::DeviceError;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tch::{Device, Tensor};

/// Why a spec cannot be run on this machine or with this data. The message is one line, and says what to
/// change.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The device is not available.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The data is missing, or not as it was published.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The data conflicts with another key of the spec.
    #[error("{0}")]
    Conflict(String),
}

/// Where observations come from.
#[expect(clippy::large_enum_variant, reason = "a run has one of it")]
pub enum Observations {
    /// Read from the catalog. The lock is there because two threads must not use one libtorch tensor at once.
    Read {
        name: String,
        splits: Mutex<Splits>,
        observed: ObservationShape,
    },
    /// Drawn from the model of each seed.
    Drawn {
        name: String,
        n_train: u32,
        observed: ObservationShape,
    },
}

impl Observations {
    /// Reads and checks the data of `spec`.
    pub fn read(spec: &CheckedSpec, data_dir: Option<&Path>) -> Result<Self, InputError> {
        let name = &spec.data.name;
        let asked = |key: &str, n: u32, has: usize, part: &str| {
            if n as usize > has {
                return Err(InputError::Conflict(format!(
                    "`data.{key}` is {n}, but the {part} part of `data.name = \"{name}\"` has {has} points; set it to at most {has}"
                )));
            }
            Ok(())
        };
        let measure_train = spec.data.measure_train.get();
        let measure_test = spec.data.measure_test.get();
        if spec.data.is_synthetic() {
            let n_train = spec.data.train_points.map_or(measure_train, |n| n.get());
            let observed = ObservationShape {
                dim: models::observed_dim(&spec.model),
                side: None,
                n_levels: None,
                most_context: spec.model.kind.max_encoder_context(),
            };
            return Ok(Self::Drawn {
                name: name.clone(),
                n_train,
                observed,
            });
        }
        let options = LoadOptions {
            data_dir,
            split_seed: spec.data.split_seed.unwrap_or(0),
            train_points: spec.data.train_points.map(|n| n.get()),
        };
        if spec.data.split_seed.is_some() && gap_data::entry(name)?.published_split {
            return Err(InputError::Conflict(format!(
                "`data.split_seed` does not apply to `data.name = \"{name}\"`, whose split is published; remove it"
            )));
        }
        let splits = gap_data::load(name, &options)?;
        asked(
            "measure_train",
            measure_train,
            splits.train.len(),
            "training",
        )?;
        asked("measure_test", measure_test, splits.test.len(), "test")?;
        let observed = ObservationShape {
            dim: splits.train.observed_dim(),
            side: match splits.train.image_shape() {
                Some([height, width]) if height == width => Some(width),
                _ => None,
            },
            n_levels: Some(gap_data::entry(name)?.n_levels),
            most_context: 1,
        };
        check_images(spec, observed)?;
        if spec.model.likelihood() == LikelihoodKind::LearnedGaussian
            && gap_data::entry(name)?.binary
        {
            return Err(InputError::Conflict(format!(
                "`model.likelihood = \"learned-gaussian\"` does not go with `data.name = \"{name}\"`, which is black and white; use \"bernoulli\", or grey data"
            )));
        }
        if spec.model.kind.is_decoder() {
            let likelihood = models::likelihood(&spec.model, observed, Device::Cpu);
            for part in [&splits.train, &splits.test] {
                likelihood.check_support(part.x()).map_err(|error| match error {
                    ModelError::OffSupport { likelihood, needs, value, .. } => InputError::Conflict(format!(
                        "`data.name = \"{name}\"` does not go with `model.likelihood`: {likelihood} needs {needs}, and the data holds {value}"
                    )),
                    other => InputError::Conflict(other.to_string()),
                })?;
            }
        }
        Ok(Self::Read {
            name: name.clone(),
            splits: Mutex::new(splits),
            observed,
        })
    }

    /// The name of the data set.
    pub fn name(&self) -> &str {
        match self {
            Self::Read { name, .. } | Self::Drawn { name, .. } => name,
        }
    }

    /// The shape of the observations.
    pub const fn observed(&self) -> ObservationShape {
        match self {
            Self::Read { observed, .. } | Self::Drawn { observed, .. } => *observed,
        }
    }

    /// Whether the observations are drawn from a model, and hence real numbers of any size; those of the
    /// catalog lie in `[0, 1]`.
    pub const fn are_synthetic(&self) -> bool {
        matches!(self, Self::Drawn { .. })
    }

    /// A digest of the training and the test part; `None` for synthetic data.
    pub fn digest(&self) -> Option<String> {
        match self {
            Self::Read { splits, .. } => {
                let splits = lock_splits(splits);
                Some(format!(
                    "{}+{}",
                    splits.train.digest(),
                    splits.test.digest()
                ))
            }
            Self::Drawn { .. } => None,
        }
    }

    /// All training points. Synthetic ones are drawn from `model`, which must then be given.
    pub fn training_points(
        &self,
        seed: u32,
        model: Option<&dyn LatentVariableModel>,
    ) -> Result<Dataset, RunError> {
        match (self, model) {
            (Self::Read { splits, .. }, _) => {
                let splits = lock_splits(splits);
                Ok(splits.train.first(splits.train.len()))
            }
            (Self::Drawn { n_train, .. }, Some(model)) => {
                self.draw(seed, model, 0..u64::from(*n_train))
            }
            (Self::Drawn { .. }, None) => {
                unreachable!("a checked spec fits no model to data that is drawn from it")
            }
        }
    }

    /// The points of `chunk`; synthetic and simulated ones are drawn from `model` with `seed`.
    pub fn measured_points(
        &self,
        seed: u32,
        model: &dyn LatentVariableModel,
        chunk: Chunk,
    ) -> Result<Dataset, RunError> {
        let Range { start, end } = chunk.range();
        match (self, chunk.split) {
            (_, Split::Simulated) => {
                Ok(simulated_points(seed, model, u64::from(start)..u64::from(end))?.0)
            }
            (Self::Read { splits, .. }, split) => {
                let splits = lock_splits(splits);
                let part = match split {
                    Split::Train => &splits.train,
                    _ => &splits.test,
                };
                let positions: Vec<usize> = (start as usize..end as usize).collect();
                Ok(part.select(&positions))
            }
            (Self::Drawn { .. }, Split::Train) => {
                self.draw(seed, model, u64::from(start)..u64::from(end))
            }
            (Self::Drawn { n_train, .. }, Split::Test) => {
                let [from, to] = [start, end].map(|at| u64::from(*n_train) + u64::from(at));
                self.draw(seed, model, from..to)
            }
        }
    }

    /// Points `ids` of the endless data set that the model and the seed define.
    fn draw(
        &self,
        seed: u32,
        model: &dyn LatentVariableModel,
        ids: Range<u64>,
    ) -> Result<Dataset, RunError> {
        let Self::Drawn { name, .. } = self else {
            unreachable!("only drawn data is drawn");
        };
        let key = SeedKey::root(u64::from(seed)).for_role("synthetic-data");
        Ok(drawn_points(name, model, ids, key)?.0)
    }
}

/// Draws the points `ids` of a second endless data set that the model and the seed define, to which nothing is
/// fitted. Also returns the latent variables that they were drawn with, `[B, D]`.
pub fn simulated_points(
    seed: u32,
    model: &dyn LatentVariableModel,
    ids: Range<u64>,
) -> Result<(Dataset, Tensor), RunError> {
    let key = SeedKey::root(u64::from(seed)).for_role("simulated-data");
    drawn_points(Split::Simulated.as_str(), model, ids, key)
}

fn drawn_points(
    name: &str,
    model: &dyn LatentVariableModel,
    ids: Range<u64>,
    key: SeedKey,
) -> Result<(Dataset, Tensor), RunError> {
    let (x, z) = model.sample_points(key, ids.clone()).map_err(stage_error)?;
    // A model of `f64` may draw some of its numbers in `f32`.
    let [x, z] = [x, z].map(|drawn| drawn.to_kind(model.kind()));
    Ok((Dataset::new(name.to_owned(), ids.collect(), x, None), z))
}

/// Refuses a spec with convolutions if observations are not square images.
fn check_images(spec: &CheckedSpec, observed: ObservationShape) -> Result<(), InputError> {
    if observed.side.is_some() {
        return Ok(());
    }
    let encoder = spec
        .encoders
        .iter()
        .position(|encoder| encoder.kind == EncoderKind::Conv)
        .map(|i| format!("encoders[{i}].kind"));
    let decoder = (spec.model.kind == ModelKind::ConvDecoder).then(|| "model.kind".to_owned());
    match decoder.or(encoder) {
        Some(key) => Err(InputError::Conflict(format!(
            "`{key}` is a convolution, which does not go with `data.name = \"{}\"`: its points are no square images; use a perceptron",
            spec.data.name
        ))),
        None => Ok(()),
    }
}

/// Locks the splits, even if a worker panicked while it held the lock: no worker ever changes them.
fn lock_splits(splits: &Mutex<Splits>) -> MutexGuard<'_, Splits> {
    splits.lock().unwrap_or_else(PoisonError::into_inner)
}
