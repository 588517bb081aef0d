//! Fitted models in folders, which a run takes in place of fitting them again.
//!
//! A stage that fits a model leaves its settings among its files. A copy of these files, in a folder of any name, is a
//! stored model. A run that is given a folder of stored models takes the one whose settings are those of a stage; the
//! digest of its files, not its path, is then a part of the stage's name.

use crate::encoders;
use crate::error::RunError;
use crate::models::{self, ObservationShape};
use crate::observations::InputError;
use crate::work::ModelWork;
use gap_spec::{CheckedSpec, input_file};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::Device;

/// The file, in the folder of a model, with the settings of the stage that made it.
pub const SETTINGS_FILE: &str = "settings.json";
/// The first part of the name of a model's folder.
const FOLDER_PREFIX: &str = "model-";
/// The size of the largest file of a model that is read.
const MOST_BYTES: u64 = 1 << 33;

/// The files that a stored model may have; others in its folder are not read.
pub const MODEL_FILES: [&str; 6] = [
    SETTINGS_FILE,
    models::LAYOUT_FILE,
    models::WEIGHTS_FILE,
    encoders::LAYOUT_FILE,
    encoders::WEIGHTS_FILE,
    encoders::FIT_FILE,
];

/// The files of a model, by name.
pub type ModelFiles = BTreeMap<String, Vec<u8>>;

/// A model in a folder.
#[derive(Debug)]
struct StoredModel {
    folder: PathBuf,
    digest: String,
    /// `None` if only the digest is known.
    files: Option<ModelFiles>,
}

/// Stored models.
#[derive(Clone, Debug, Default)]
pub struct StoredModels {
    /// By the settings of the stages that made them.
    by_settings: Arc<BTreeMap<String, StoredModel>>,
    /// By seed, those of `model.weights`: they come before the others.
    by_seed: BTreeMap<u32, Arc<StoredModel>>,
}

impl StoredModels {
    /// The models in the folders that are in `folder`, of the settings that are in `wanted`: see
    /// [`ModelWork::settings`].
    ///
    /// # Errors
    ///
    /// [`InputError`] that names the folder or file if one cannot be read, or if no wanted model is there.
    pub fn read(folder: &Path, wanted: &BTreeSet<String>) -> Result<Self, InputError> {
        let in_folder = |error: &dyn std::fmt::Display| {
            InputError::Conflict(format!("{}: {error}", folder.display()))
        };
        let mut models = BTreeMap::new();
        let mut n_found = 0;
        for entry in fs::read_dir(folder).map_err(|error| in_folder(&error))? {
            let path = entry.map_err(|error| in_folder(&error))?.path();
            if !path.join(SETTINGS_FILE).exists() {
                continue;
            }
            n_found += 1;
            let settings = read_file(&path.join(SETTINGS_FILE))?;
            let settings = String::from_utf8_lossy(&settings).into_owned();
            if !wanted.contains(&settings) {
                continue;
            }
            let files = read_files(&path)?;
            check(&files).map_err(|error| {
                InputError::Conflict(format!(
                    "{}: no model of this program ({error}); save it again with `amortgap models`",
                    path.display()
                ))
            })?;
            let model = StoredModel {
                folder: path,
                digest: digest_of_files(&files),
                files: Some(files),
            };
            if let Some(other) = models.insert(settings, model) {
                return Err(in_folder(&format_args!(
                    "{} has another model of the same settings; keep one of the two",
                    other.folder.display()
                )));
            }
        }
        if n_found == 0 {
            return Err(in_folder(
                &"no model is here; `amortgap models RESULTS --out DIR` saves those of a run",
            ));
        }
        if models.is_empty() {
            return Err(in_folder(
                &"no model here has the settings of a model of this experiment (`data`, `model` and `seeds`); leave out --models to fit them",
            ));
        }
        Ok(Self::by_settings(models))
    }

    fn by_settings(models: BTreeMap<String, StoredModel>) -> Self {
        Self {
            by_settings: Arc::new(models),
            by_seed: BTreeMap::new(),
        }
    }

    /// These models, and those of the key `model.weights` of `spec`, whose paths are relative to the folder of its file
    /// `spec_path`.
    ///
    /// # Errors
    ///
    /// [`InputError`] that names the key and the file if one cannot be read.
    pub fn with_weights_of(
        &self,
        spec: &CheckedSpec,
        spec_path: &Path,
    ) -> Result<Self, InputError> {
        let folder = spec_path.parent().unwrap_or(Path::new(""));
        let mut models = self.clone();
        let Some(weights) = &spec.model.weights else {
            return Ok(models);
        };
        for &seed in &spec.seeds {
            let path = folder.join(weights.replace("{seed}", &seed.to_string()));
            let content = input_file::read(&path, MOST_BYTES).map_err(|error| {
                InputError::Conflict(format!(
                    "`model.weights` is \"{weights}\", and {} cannot be read: {error}",
                    path.display()
                ))
            })?;
            let files = ModelFiles::from([(models::WEIGHTS_FILE.to_owned(), content)]);
            let model = StoredModel {
                folder: path,
                digest: digest_of_files(&files),
                files: Some(files),
            };
            models.by_seed.insert(seed, Arc::new(model));
        }
        Ok(models)
    }

    /// The number of models that were read from a folder.
    pub fn n_read(&self) -> usize {
        self.by_settings.len()
    }

    fn model_for(&self, work: &ModelWork) -> Option<&StoredModel> {
        let of_seed = self.by_seed.get(&work.seed).map(AsRef::as_ref);
        of_seed.or_else(|| self.by_settings.get(&work.settings()))
    }

    /// Checks that the model that a stage takes is the one that its settings describe.
    ///
    /// # Errors
    ///
    /// [`InputError`] that names the file if it is not.
    pub fn check(&self, work: &ModelWork, observed: ObservationShape) -> Result<(), InputError> {
        let Some(StoredModel {
            folder,
            files: Some(files),
            ..
        }) = self.model_for(work)
        else {
            return Ok(());
        };
        let Some(weights) = files.get(models::WEIGHTS_FILE) else {
            return Ok(());
        };
        let layout = work.layout(observed);
        layout.check_weights(weights).map_err(|error| {
            InputError::Conflict(format!(
                "{}: {error}; `[model]` describes another decoder, of which the tensors are to be called `decoder.0.weight`, `decoder.0.bias` and so on",
                folder.display()
            ))
        })
    }

    /// Models of which only the digests are known, by their settings, as [`Plan::stored_models`](crate::Plan::stored_models) gives them.
    pub fn from_digests(digests: BTreeMap<String, String>) -> Self {
        let models = digests.into_iter().map(|(settings, digest)| {
            let model = StoredModel {
                folder: PathBuf::new(),
                digest,
                files: None,
            };
            (settings, model)
        });
        Self::by_settings(models.collect())
    }

    /// The digest of the model that a stage with these settings makes.
    pub fn digest_for(&self, work: &ModelWork) -> Option<String> {
        self.model_for(work).map(|model| model.digest.clone())
    }

    /// The files of the model that a stage takes.
    pub fn files_for(&self, work: &ModelWork) -> Option<&ModelFiles> {
        self.model_for(work)?.files.as_ref()
    }
}

/// Reads the model, and the encoder that it was fitted with if there is one.
fn check(files: &ModelFiles) -> Result<(), RunError> {
    let read = |name: &str| {
        let content = files.get(name).cloned();
        content.ok_or_else(|| RunError::Stage(format!("`{name}` is missing")))
    };
    models::read_model(&read, Device::Cpu)?;
    if files.contains_key(encoders::LAYOUT_FILE) {
        encoders::read_encoder(&read, Device::Cpu)?;
    }
    Ok(())
}

/// The name of the folder that a model with these files is saved in.
pub fn folder_name(files: &ModelFiles) -> String {
    format!("{FOLDER_PREFIX}{}", &digest_of_files(files)[..16])
}

fn read_file(path: &Path) -> Result<Vec<u8>, InputError> {
    input_file::read(path, MOST_BYTES)
        .map_err(|error| InputError::Conflict(format!("{}: {error}", path.display())))
}

fn read_files(folder: &Path) -> Result<ModelFiles, InputError> {
    let names = MODEL_FILES.into_iter();
    let present = names.filter(|name| folder.join(name).exists());
    present
        .map(|name| Ok((name.to_owned(), read_file(&folder.join(name))?)))
        .collect()
}

/// BLAKE3 of the names and contents, as hexadecimal digits, but for the wall time of the fit.
fn digest_of_files(files: &ModelFiles) -> String {
    let mut hasher = blake3::Hasher::new();
    let lasting = files.iter().filter(|(name, _)| *name != encoders::FIT_FILE);
    for (name, content) in lasting {
        for part in [name.as_bytes(), content] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize().to_hex().to_string()
}
