//! The folder of one experiment's results, and the stages in it.

use crate::claim::Claim;
use crate::digests::{FileDigests, FileFault, FileFaultKind};
use crate::disk::{
    TEMPORARY_SUFFIX, check_folder_or_nothing, entries, first_free_place, make_folder,
    open_lock_file, remove_if_there, rename, replace_file, sync_folder, unwritable, write_new_file,
};
use crate::error::StoreError;
use crate::ownership::check_is_ours;
use crate::published;
use crate::scratch::Scratch;
use crate::sealed_json::{seal, unseal};
use crate::stages_folder::{
    CLAIMS_FOLDER, DAMAGED_FOLDER, MANIFEST_FILE, OWNER_FILE, PARTIAL_SUFFIX, PRESENCE_FILE,
    SCRATCH_FOLDER, STAGES_FOLDER, StageManifest, StagesFolder,
};
use gap_spec::input_file::{self, InputFileError};
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
    stages: StagesFolder,
    /// Locked, shared with other runs, as long as this one is at work.
    presence: File,
}

/// The size of the longest name of an owner that is read.
const MOST_OWNER_BYTES: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Owner {
    experiment: String,
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
        let is_ours = check_is_ours(folder)?;
        let stages = folder.join(STAGES_FOLDER);
        for path in [
            &stages,
            &stages.join(CLAIMS_FOLDER),
            &stages.join(DAMAGED_FOLDER),
            &stages.join(SCRATCH_FOLDER),
        ] {
            check_folder_or_nothing(path)?;
        }
        published::check_places(folder)?;
        let mut notices = Vec::new();
        if let Some(kept) = published::finish_interrupted(folder)? {
            notices.push(published::notice_of_finished(folder, kept.as_ref()));
        }
        make_folder(&stages.join(CLAIMS_FOLDER))?;
        // Whatever is in place of the lock, only we can have put it there.
        let lock = stages.join(PRESENCE_FILE);
        if fs::symlink_metadata(&lock).is_ok_and(|found| !found.is_file()) {
            remove_if_there(&lock)?;
        }
        let presence = open_lock_file(&lock)?;
        let is_alone = presence.try_lock().is_ok();
        let store = Self {
            folder: folder.to_owned(),
            stages: StagesFolder::in_results(folder),
            presence,
        };
        if is_alone && is_ours {
            store.remove_leftovers()?;
        }
        store.presence.lock_shared().map_err(unwritable(folder))?;
        store.check_owner(experiment, &mut notices)?;
        Ok((store, notices))
    }

    /// Refuses the folder of another experiment; a damaged name of the owner is written again.
    fn check_owner(&self, experiment: &str, notices: &mut Vec<String>) -> Result<(), StoreError> {
        let path = self.stages.path().join(OWNER_FILE);
        let _claim = Claim::take(&self.stages.path().join(CLAIMS_FOLDER).join(OWNER_FILE))?;
        let text = match fs::symlink_metadata(&path) {
            Ok(_) => input_file::read_text(&path, MOST_OWNER_BYTES),
            Err(error) => Err(error.into()),
        };
        match text {
            Ok(text) => match unseal::<Owner>(&text) {
                Ok(owner) if owner.experiment == experiment => return Ok(()),
                Ok(owner) => {
                    return Err(StoreError::OtherExperiment {
                        path: self.folder.clone(),
                        other: owner.experiment,
                    });
                }
                Err(error) => notices.push(format!("{}: {error}; written again", path.display())),
            },
            Err(InputFileError::System(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                notices.push(format!("{}: {error}; written again", path.display()));
                remove_if_there(&path)?;
            }
        }
        let owner = Owner {
            experiment: experiment.to_owned(),
        };
        replace_file(&path, seal(&owner).as_bytes())
    }

    /// Removes what killed runs left: nobody else may be at work.
    fn remove_leftovers(&self) -> Result<(), StoreError> {
        for path in entries(self.stages.path())? {
            let name = file_name(&path);
            if name.ends_with(PARTIAL_SUFFIX) || name.ends_with(TEMPORARY_SUFFIX) {
                remove_if_there(&path)?;
            }
        }
        for claim in entries(&self.stages.path().join(CLAIMS_FOLDER))? {
            remove_if_there(&claim)?;
        }
        // A stage needs nothing more once it is published.
        for scratch in entries(&self.stages.path().join(SCRATCH_FOLDER))? {
            if self.stages.of_stage(&file_name(&scratch)).is_dir() {
                remove_if_there(&scratch)?;
            }
        }
        Ok(())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The stages in it.
    pub const fn stages(&self) -> &StagesFolder {
        &self.stages
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

    /// Removes the stages that `is_kept` does not want, what such stages keep while they are at work, and all that was
    /// set aside; gives the names of the stages and the bytes that are free now. Other runs have to be excluded.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`].
    pub fn remove_stages(
        &self,
        is_kept: impl Fn(&str) -> bool,
    ) -> Result<(Vec<String>, u64), StoreError> {
        let (mut names, mut bytes) = (Vec::new(), 0);
        for name in self.stages.names()? {
            if !is_kept(&name) {
                let path = self.stages.of_stage(&name);
                bytes += size_on_disk(&path);
                remove_if_there(&path)?;
                names.push(name);
            }
        }
        for scratch in entries(&self.stages.path().join(SCRATCH_FOLDER))? {
            if !is_kept(&file_name(&scratch)) {
                bytes += size_on_disk(&scratch);
                remove_if_there(&scratch)?;
            }
        }
        let damaged = self.stages.path().join(DAMAGED_FOLDER);
        bytes += size_on_disk(&damaged);
        remove_if_there(&damaged)?;
        Ok((names, bytes))
    }

    /// Claims a stage, unless another run works on it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`].
    pub fn claim_stage(&self, stage: &str) -> Result<Option<Claim>, StoreError> {
        Claim::try_take(&self.stages.path().join(CLAIMS_FOLDER).join(stage))
    }

    /// What a stage keeps while it is at work. The stage has to be claimed.
    pub fn scratch(&self, stage: &str) -> Scratch {
        Scratch::new(self.stages.path().join(SCRATCH_FOLDER).join(stage))
    }

    /// Moves a damaged stage out of the way, and gives its new place. The stage has to be claimed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`].
    pub fn set_stage_aside(&self, stage: &str) -> Result<PathBuf, StoreError> {
        let damaged = self.stages.path().join(DAMAGED_FOLDER);
        make_folder(&damaged)?;
        let place = first_free_place(&damaged, stage);
        rename(&self.stages.of_stage(stage), &place)?;
        Ok(place)
    }

    /// Publishes a stage by one rename of the folder with all its files, and removes what it kept while it was at work.
    /// The stage has to be claimed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the disk refuses.
    pub fn publish_stage(
        &self,
        stage: &str,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<(), StoreError> {
        let partial = self.stages.path().join(format!("{stage}{PARTIAL_SUFFIX}"));
        remove_if_there(&partial)?;
        let publish = || {
            make_folder(&partial)?;
            for (name, content) in files {
                write_new_file(&partial.join(name), content)?;
            }
            let manifest = StageManifest {
                stage: stage.to_owned(),
                files: FileDigests::of(files),
            };
            write_new_file(&partial.join(MANIFEST_FILE), seal(&manifest).as_bytes())?;
            sync_folder(&partial)?;
            rename(&partial, &self.stages.of_stage(stage))
        };
        publish().inspect_err(|_| {
            // What could not be written whole takes up room that another run may need.
            let _ = remove_if_there(&partial);
        })?;
        // The stage is finished now; what is left here is removed when a run is alone in the folder.
        let _ = remove_if_there(&self.stages.path().join(SCRATCH_FOLDER).join(stage));
        Ok(())
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

/// What is wrong with the name of the experiment that stages in `folder` belong to; nothing without stages.
pub fn owner_fault(folder: &Path) -> Option<FileFault> {
    let stages = folder.join(STAGES_FOLDER);
    if !stages.is_dir() {
        return None;
    }
    let path = stages.join(OWNER_FILE);
    let unreadable = |error: &dyn std::fmt::Display| FileFaultKind::Unreadable(error.to_string());
    let kind = match input_file::read_text(&path, MOST_OWNER_BYTES) {
        Ok(text) => unreadable(&unseal::<Owner>(&text).err()?),
        Err(InputFileError::System(error)) if error.kind() == io::ErrorKind::NotFound => {
            FileFaultKind::Missing
        }
        Err(error) => unreadable(&error),
    };
    Some(FileFault { path, kind })
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
    let owner = input_file::read_text(&stages.join(OWNER_FILE), MOST_OWNER_BYTES);
    let owner = owner.map_err(|error| in_folder(&error, io::ErrorKind::Other))?;
    let owner: Owner =
        unseal(&owner).map_err(|error| in_folder(&error, io::ErrorKind::InvalidData))?;
    let lock = input_file::open(&stages.join(PRESENCE_FILE))
        .map_err(|error| in_folder(&error, io::ErrorKind::Other))?;
    let names = |folder: &Path| -> Vec<PathBuf> {
        let mut paths = entries(folder).unwrap_or_default();
        paths.sort();
        paths
    };
    let all = StagesFolder::in_results(folder);
    let finished = all.names().unwrap_or_default().into_iter();
    let finished = finished.filter(|name| all.of_stage(name).join(MANIFEST_FILE).is_file());
    let claimed = names(&stages.join(CLAIMS_FOLDER)).into_iter();
    Ok(Status {
        experiment: owner.experiment,
        finished: finished.collect(),
        claimed: claimed
            .filter(|path| Claim::is_held(path))
            .map(|path| file_name(&path))
            .collect(),
        set_aside: names(&stages.join(DAMAGED_FOLDER)).len(),
        in_use: matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
            || matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
    })
}
