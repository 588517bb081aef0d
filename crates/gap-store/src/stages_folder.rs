//! The finished stages in a folder of results, as they are read.

use crate::digests::{FileDigests, FileFault, FileFaultKind};
use crate::disk::entries;
use crate::error::StoreError;
use crate::sealed_json::unseal;
use gap_spec::input_file;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The name of the folder of stages, in the folder of results.
pub const STAGES_FOLDER: &str = ".stages";
/// The claims on stages, in the folder of stages.
pub const CLAIMS_FOLDER: &str = "claims";
/// Stages that were found damaged, in the folder of stages.
pub const DAMAGED_FOLDER: &str = "damaged";
/// What stages at work keep, in the folder of stages.
pub const SCRATCH_FOLDER: &str = "scratch";
/// The lock by which a run shows that it is at work, in the folder of stages.
pub const PRESENCE_FILE: &str = "lock";
/// The experiment that the folder belongs to, in the folder of stages.
pub const OWNER_FILE: &str = "experiment";
/// The names and digests of a stage's files, among them.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The size of the longest manifest of a stage that is read.
const MOST_MANIFEST_BYTES: u64 = 1 << 20;
/// How the name ends of a folder that a stage is written to before it is published.
pub const PARTIAL_SUFFIX: &str = ".partial";

/// What a finished stage consists of.
#[derive(Serialize, Deserialize)]
pub struct StageManifest {
    /// The name of the stage.
    pub stage: String,
    /// The digest of every file.
    pub files: FileDigests,
}

/// What there is of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageState {
    /// Nothing.
    Missing,
    /// Every file, as it was written.
    Finished,
    /// A folder in which a file is not what was written.
    Damaged(FileFault),
}

/// The folder of stages in a folder of results.
#[derive(Clone, Debug)]
pub struct StagesFolder(PathBuf);

impl StagesFolder {
    /// That of the folder of results `folder`.
    pub fn in_results(folder: &Path) -> Self {
        Self(folder.join(STAGES_FOLDER))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The folder of a stage.
    pub(crate) fn of_stage(&self, stage: &str) -> PathBuf {
        self.0.join(stage)
    }

    /// The names of all stages that have a folder, in order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`] if the folder cannot be listed.
    pub fn names(&self) -> Result<Vec<String>, StoreError> {
        let paths = entries(&self.0)?.into_iter().filter(|path| path.is_dir());
        let names = paths.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
        let mut names: Vec<String> = names
            .filter(|name| {
                ![CLAIMS_FOLDER, DAMAGED_FOLDER, SCRATCH_FOLDER].contains(&name.as_str())
            })
            .filter(|name| !name.ends_with(PARTIAL_SUFFIX))
            .collect();
        names.sort();
        Ok(names)
    }

    /// What there is of a stage: every file is read and held against its digest.
    pub fn state(&self, stage: &str) -> StageState {
        let folder = self.of_stage(stage);
        match fs::symlink_metadata(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return StageState::Missing,
            Err(_) => {}
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                return StageState::Damaged(FileFault {
                    path: folder,
                    kind: FileFaultKind::NotAFile,
                });
            }
        }
        match self.manifest(stage) {
            Ok(manifest) => {
                let fault = manifest.files.faults(&folder).into_iter().next();
                fault.map_or(StageState::Finished, StageState::Damaged)
            }
            Err(fault) => StageState::Damaged(fault),
        }
    }

    fn manifest(&self, stage: &str) -> Result<StageManifest, FileFault> {
        let path = self.of_stage(stage).join(MANIFEST_FILE);
        let read = || {
            let found = fs::symlink_metadata(&path).map_err(|_| FileFaultKind::Missing)?;
            if !found.is_file() {
                return Err(FileFaultKind::NotAFile);
            }
            let text = input_file::read_text(&path, MOST_MANIFEST_BYTES)
                .map_err(|error| FileFaultKind::Unreadable(error.to_string()))?;
            let manifest: StageManifest =
                unseal(&text).map_err(|error| FileFaultKind::Unreadable(error.to_string()))?;
            if manifest.stage != stage {
                return Err(FileFaultKind::Unreadable(format!(
                    "it is the manifest of {}",
                    manifest.stage
                )));
            }
            Ok(manifest)
        };
        read().map_err(|kind| FileFault {
            path: path.clone(),
            kind,
        })
    }

    /// All files of a finished stage, by name.
    ///
    /// # Errors
    ///
    /// The [`FileFault`] of the first that is not there, or not what was written.
    pub fn files(&self, stage: &str) -> Result<BTreeMap<String, Vec<u8>>, FileFault> {
        let (folder, digests) = (self.of_stage(stage), self.manifest(stage)?.files);
        let names = digests.0.keys();
        names
            .map(|name| Ok((name.clone(), digests.read(&folder, name)?)))
            .collect()
    }

    /// A file of a finished stage.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] if it is not there, or not what was written.
    pub fn read_file(&self, stage: &str, name: &str) -> Result<Vec<u8>, StoreError> {
        let content = self
            .manifest(stage)
            .and_then(|manifest| manifest.files.read(&self.of_stage(stage), name));
        content.map_err(|fault| StoreError::Damaged {
            path: fault.path,
            message: fault.kind.to_string(),
        })
    }
}
