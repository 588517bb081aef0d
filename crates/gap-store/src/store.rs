//! The folder of one experiment's results, and the stages in it.

use crate::claim::Claim;
use crate::digests::{FileDigests, FileFault, FileFaultKind};
use crate::disk::{
    TEMPORARY_SUFFIX, refuse_link, remove_if_there, replace_file, sync_folder, unwritable,
    write_new_file,
};
use crate::error::StoreError;
use crate::published;
use crate::sealed_json::{seal, unseal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The folder of one experiment's results. Several runs may have it open; each stage is worked on under a
/// [`Claim`].
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Locked, shared with other runs, as long as this one is at work.
    presence: File,
}

/// The folder of stages, in the folder of results.
pub const STAGES_FOLDER: &str = ".stages";
/// The claims on stages, in the folder of stages.
const CLAIMS_FOLDER: &str = "claims";
/// Stages that were found damaged, in the folder of stages.
const DAMAGED_FOLDER: &str = "damaged";
/// The lock by which a run shows that it is at work.
const PRESENCE_FILE: &str = "lock";
/// The experiment that the folder belongs to.
const OWNER_FILE: &str = "experiment";
/// The names and digests of a stage's files, among them.
const MANIFEST_FILE: &str = "manifest.json";
/// How the name ends of a folder that a stage is written to before it is published.
const PARTIAL_SUFFIX: &str = ".partial";

#[derive(Serialize, Deserialize)]
struct Owner {
    experiment: String,
}

/// What a finished stage consists of.
#[derive(Serialize, Deserialize)]
struct StageManifest {
    stage: String,
    files: FileDigests,
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

impl Store {
    /// Opens `folder` for the experiment, making it if need be, and says in sentences what had to be mended.
    ///
    /// What a killed run left half-written is removed, unless another run is at work.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the folder cannot be written to, belongs to another experiment, or holds files that
    /// no run made.
    pub fn open(folder: &Path, experiment: &str) -> Result<(Self, Vec<String>), StoreError> {
        refuse_foreign_folder(folder)?;
        let stages = folder.join(STAGES_FOLDER);
        for path in [
            &stages,
            &stages.join(CLAIMS_FOLDER),
            &stages.join(DAMAGED_FOLDER),
            &folder.join(published::EARLIER_FOLDER),
            &folder.join("figures"),
        ] {
            refuse_link(path)?;
        }
        fs::create_dir_all(stages.join(CLAIMS_FOLDER)).map_err(unwritable(folder))?;
        let presence = File::create(stages.join(PRESENCE_FILE)).map_err(unwritable(folder))?;
        let is_alone = presence.try_lock().is_ok();
        let store = Self {
            folder: folder.to_owned(),
            presence,
        };
        let mut notices = Vec::new();
        if is_alone {
            store.remove_leftovers()?;
        }
        store.presence.lock_shared().map_err(unwritable(folder))?;
        store.check_owner(experiment, &mut notices)?;
        Ok((store, notices))
    }

    /// Refuses the folder of another experiment; a damaged name of the owner is written again.
    fn check_owner(&self, experiment: &str, notices: &mut Vec<String>) -> Result<(), StoreError> {
        let path = self.stages_folder().join(OWNER_FILE);
        let _claim = Claim::take(&self.stages_folder().join(CLAIMS_FOLDER).join(OWNER_FILE))?;
        let own = || Owner {
            experiment: experiment.to_owned(),
        };
        match fs::read(&path) {
            Ok(bytes) => match unseal::<Owner>(&String::from_utf8_lossy(&bytes)) {
                Ok(owner) if owner.experiment == experiment => return Ok(()),
                Ok(owner) => {
                    return Err(StoreError::OtherExperiment {
                        path: self.folder.clone(),
                        other: owner.experiment,
                    });
                }
                Err(error) => notices.push(format!("{}: {error}; written again", path.display())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unwritable(&path)(error)),
        }
        replace_file(&path, seal(&own()).as_bytes())
    }

    /// Removes what killed runs left: nobody else may be at work.
    fn remove_leftovers(&self) -> Result<(), StoreError> {
        for folder in [self.folder.clone(), self.stages_folder()] {
            for path in entries(&folder)? {
                let name = file_name(&path);
                let is_leftover = name.ends_with(PARTIAL_SUFFIX)
                    || name.ends_with(TEMPORARY_SUFFIX) && name.starts_with('.')
                    || name.starts_with(".amortgap-")
                    || folder == self.stages_folder() && name.ends_with(TEMPORARY_SUFFIX);
                if is_leftover {
                    remove_if_there(&path)?;
                }
            }
        }
        for claim in entries(&self.stages_folder().join(CLAIMS_FOLDER))? {
            remove_if_there(&claim)?;
        }
        published::remove_leftovers(&self.folder)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn stages_folder(&self) -> PathBuf {
        self.folder.join(STAGES_FOLDER)
    }

    fn stage_folder(&self, stage: &str) -> PathBuf {
        self.stages_folder().join(stage)
    }

    /// Takes this run to be alone in the folder, until it ends.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`] if another run is at work.
    pub fn exclude_other_runs(&self) -> Result<(), StoreError> {
        match self.presence.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
                path: self.folder.clone(),
            }),
            Err(TryLockError::Error(source)) => Err(unwritable(&self.folder)(source)),
        }
    }

    /// Lets other runs in again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`].
    pub fn admit_other_runs(&self) -> Result<(), StoreError> {
        self.presence
            .lock_shared()
            .map_err(unwritable(&self.folder))
    }

    /// The names of all stages that have a folder, and of those that were set aside or given up.
    fn stage_folders(&self) -> Result<Vec<PathBuf>, StoreError> {
        let all = entries(&self.stages_folder())?.into_iter();
        let is_stage = |path: &PathBuf| {
            path.is_dir() && ![CLAIMS_FOLDER, DAMAGED_FOLDER].contains(&file_name(path).as_str())
        };
        Ok(all.filter(is_stage).collect())
    }

    /// Removes the stages that `is_kept` does not want, and all that was set aside; gives the names of the
    /// stages and the bytes that are free now. Other runs have to be excluded.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`].
    pub fn remove_stages(
        &self,
        is_kept: impl Fn(&str) -> bool,
    ) -> Result<(Vec<String>, u64), StoreError> {
        let (mut names, mut bytes) = (Vec::new(), 0);
        for path in self.stage_folders()? {
            let name = file_name(&path);
            let stage = name.split('.').next().unwrap_or_default();
            if !is_kept(stage) {
                bytes += size_on_disk(&path);
                remove_if_there(&path)?;
                names.push(name);
            }
        }
        let damaged = self.stages_folder().join(DAMAGED_FOLDER);
        bytes += size_on_disk(&damaged);
        remove_if_there(&damaged)?;
        Ok((names, bytes))
    }

    /// What there is of a stage: every file is read and held against its digest.
    pub fn stage_state(&self, stage: &str) -> StageState {
        let folder = self.stage_folder(stage);
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
        let path = self.stage_folder(stage).join(MANIFEST_FILE);
        let read = || {
            let found = fs::symlink_metadata(&path).map_err(|_| FileFaultKind::Missing)?;
            if !found.is_file() {
                return Err(FileFaultKind::NotAFile);
            }
            let bytes = fs::read(&path).map_err(|e| FileFaultKind::Unreadable(e.to_string()))?;
            let text = String::from_utf8_lossy(&bytes);
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

    /// A file of a finished stage.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] if it is not there, or not what was written.
    pub fn read_stage_file(&self, stage: &str, name: &str) -> Result<Vec<u8>, StoreError> {
        let content = self
            .manifest(stage)
            .and_then(|manifest| manifest.files.read(&self.stage_folder(stage), name));
        content.map_err(|fault| StoreError::Damaged {
            path: fault.path,
            message: fault.kind.to_string(),
        })
    }

    /// Claims a stage, unless another run works on it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`].
    pub fn claim_stage(&self, stage: &str) -> Result<Option<Claim>, StoreError> {
        Claim::try_take(&self.stages_folder().join(CLAIMS_FOLDER).join(stage))
    }

    /// Moves a damaged stage out of the way, and gives its new place. The stage has to be claimed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`].
    pub fn set_stage_aside(&self, stage: &str) -> Result<PathBuf, StoreError> {
        let damaged = self.stages_folder().join(DAMAGED_FOLDER);
        fs::create_dir_all(&damaged).map_err(unwritable(&damaged))?;
        let place = (1..)
            .map(|n| damaged.join(format!("{stage}-{n}")))
            .find(|place| fs::symlink_metadata(place).is_err())
            .expect("there are more numbers than folders");
        fs::rename(self.stage_folder(stage), &place).map_err(unwritable(&place))?;
        Ok(place)
    }

    /// Publishes a stage by one rename of the folder with all its files. The stage has to be claimed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the disk refuses.
    pub fn publish_stage(
        &self,
        stage: &str,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<(), StoreError> {
        let partial = self
            .stages_folder()
            .join(format!("{stage}{PARTIAL_SUFFIX}"));
        remove_if_there(&partial)?;
        let publish = || {
            fs::create_dir(&partial).map_err(unwritable(&partial))?;
            for (name, content) in files {
                write_new_file(&partial.join(name), content)?;
            }
            let manifest = StageManifest {
                stage: stage.to_owned(),
                files: FileDigests::of(files),
            };
            write_new_file(&partial.join(MANIFEST_FILE), seal(&manifest).as_bytes())?;
            sync_folder(&partial)?;
            fs::rename(&partial, self.stage_folder(stage)).map_err(unwritable(&partial))
        };
        publish().inspect_err(|_| {
            // What could not be written whole takes up room that another run may need.
            let _ = fs::remove_dir_all(&partial);
        })
    }
}

/// Refuses a folder with files in it, none of which a run has made. Hidden files are not looked at.
fn refuse_foreign_folder(folder: &Path) -> Result<(), StoreError> {
    if folder.join(STAGES_FOLDER).is_dir() || published::is_results_folder(folder) {
        return Ok(());
    }
    let names = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unwritable(folder)(error)),
        Ok(_) => entries(folder)?.into_iter().map(|path| file_name(&path)),
    };
    match names.filter(|name| !name.starts_with('.')).min() {
        None => Ok(()),
        Some(file) => Err(StoreError::Foreign {
            path: folder.to_owned(),
            file,
        }),
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect()
    };
    match list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(unwritable(folder)),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn size_on_disk(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => entries(path)
            .unwrap_or_default()
            .iter()
            .map(|path| size_on_disk(path))
            .sum(),
        Ok(found) => found.len(),
        Err(_) => 0,
    }
}

/// What is in a folder of results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The experiment.
    pub experiment: String,
    /// Finished stages, by name. Their files are not read.
    pub finished: Vec<String>,
    /// Stages that a run is at work on, by name.
    pub claimed: Vec<String>,
    /// Stages that were found damaged and set aside.
    pub set_aside: usize,
    /// Whether a run is at work.
    pub in_use: bool,
}

/// Looks into a folder of results without changing it.
///
/// # Errors
///
/// An [`io::Error`] that names the folder if no run was started in it.
pub fn status(folder: &Path) -> io::Result<Status> {
    let stages = folder.join(STAGES_FOLDER);
    let in_folder = |error: &dyn std::fmt::Display, kind| {
        let message = format!("{}: no run was started here ({error})", folder.display());
        io::Error::new(kind, message)
    };
    let owner = fs::read_to_string(stages.join(OWNER_FILE));
    let owner = owner.map_err(|error| in_folder(&error, error.kind()))?;
    let owner: Owner =
        unseal(&owner).map_err(|error| in_folder(&error, io::ErrorKind::InvalidData))?;
    let lock = File::open(stages.join(PRESENCE_FILE))?;
    let names = |folder: &Path| -> Vec<PathBuf> {
        let mut paths = entries(folder).unwrap_or_default();
        paths.sort();
        paths
    };
    let finished = names(&stages).into_iter();
    let finished = finished.filter(|path| path.join(MANIFEST_FILE).is_file());
    let claimed = names(&stages.join(CLAIMS_FOLDER)).into_iter();
    Ok(Status {
        experiment: owner.experiment,
        finished: finished.map(|path| file_name(&path)).collect(),
        claimed: claimed
            .filter(|path| Claim::is_held(path))
            .map(|path| file_name(&path))
            .collect(),
        set_aside: names(&stages.join(DAMAGED_FOLDER)).len(),
        in_use: matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
            || matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
    })
}
