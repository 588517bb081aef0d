//! The folder of results: what is in it is whole, whenever the run was killed.
//!
//! A stage works in a temporary folder that one rename publishes; a file is written beside its
//! final place, flushed to disk and renamed.

use crate::stage_id::StageId;
use gap_schema::parquet::{self, TableError};
use gap_schema::results::RECORDS_FILE;
use gap_schema::rows_file::{self, RowsError};
use gap_schema::{Record, RowFile};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The folder of results cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be made or written to.
    #[error("cannot write to {path}: {source}; choose another folder with --out")]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another run is at work in it.
    #[error("{path} is in use by another run; wait for it, or choose another folder with --out")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// It holds the results of another experiment.
    #[error("{path} holds the results of experiment `{other}`; choose another folder with --out")]
    OtherExperiment {
        /// The folder.
        path: PathBuf,
        /// The experiment's name.
        other: String,
    },
    /// A stage's records cannot be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A table of rows cannot be read or written.
    #[error(transparent)]
    Rows(#[from] RowsError),
}

/// The folder of one experiment's results, held by one run at a time.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    _lock: File,
}

const STAGES_FOLDER: &str = ".stages";
/// The wall time of a stage.
const SECONDS_FILE: &str = "seconds";
const FINISHED_FILE: &str = "finished";

impl Store {
    /// Opens `folder` for the experiment, making it if need be, and locks it for this process.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be written to, is in use, or belongs to another experiment.
    pub fn open(folder: &Path, experiment: &str) -> Result<Self, StoreError> {
        let stages = folder.join(STAGES_FOLDER);
        let unwritable = |source| StoreError::Unwritable {
            path: folder.to_owned(),
            source,
        };
        fs::create_dir_all(&stages).map_err(unwritable)?;
        let lock = File::create(stages.join("lock")).map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse {
                    path: folder.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(unwritable(source)),
        }
        let store = Self {
            folder: folder.to_owned(),
            _lock: lock,
        };
        let owner = stages.join("experiment");
        match fs::read_to_string(&owner) {
            Ok(other) if other != experiment => Err(StoreError::OtherExperiment {
                path: folder.to_owned(),
                other,
            }),
            Ok(_) => Ok(store),
            Err(_) => {
                store.write_file(&owner, experiment.as_bytes())?;
                Ok(store)
            }
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Forgets every finished stage.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`].
    pub fn delete_stages(&self) -> Result<(), StoreError> {
        let stages = self.folder.join(STAGES_FOLDER);
        let unwritable = |source| StoreError::Unwritable {
            path: stages.clone(),
            source,
        };
        for entry in fs::read_dir(&stages).map_err(unwritable)? {
            let path = entry.map_err(unwritable)?.path();
            if path.is_dir() {
                fs::remove_dir_all(&path).map_err(unwritable)?;
            } else if path.file_name().is_some_and(|name| name == FINISHED_FILE) {
                fs::remove_file(&path).map_err(unwritable)?;
            }
        }
        Ok(())
    }

    /// The folder of a finished stage.
    pub fn stage_folder(&self, id: &StageId) -> PathBuf {
        self.folder.join(STAGES_FOLDER).join(id.to_string())
    }

    /// Whether the stage is finished.
    pub fn has_stage(&self, id: &StageId) -> bool {
        self.stage_folder(id).join(RECORDS_FILE).is_file()
    }

    /// A fresh folder for a stage to work in.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`].
    pub fn begin_stage(&self, id: &StageId) -> Result<PathBuf, StoreError> {
        let path = self
            .folder
            .join(STAGES_FOLDER)
            .join(format!("{id}.partial"));
        let unwritable = |source| StoreError::Unwritable {
            path: path.clone(),
            source,
        };
        if path.exists() {
            // Left by a run that was killed.
            fs::remove_dir_all(&path).map_err(unwritable)?;
        }
        fs::create_dir(&path).map_err(unwritable)?;
        Ok(path)
    }

    /// Publishes what the stage left in its folder, together with its records and its wall time.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the disk refuses.
    pub fn publish_stage(
        &self,
        id: &StageId,
        partial: &Path,
        records: &[Record],
        seconds: f64,
    ) -> Result<(), StoreError> {
        run_on_own_thread(|| parquet::write_records(&partial.join(RECORDS_FILE), records, "{}"))?;
        let unwritable = |source| StoreError::Unwritable {
            path: partial.to_owned(),
            source,
        };
        fs::write(partial.join(SECONDS_FILE), seconds.to_string()).map_err(unwritable)?;
        for entry in fs::read_dir(partial).map_err(unwritable)? {
            let file = File::open(entry.map_err(unwritable)?.path()).map_err(unwritable)?;
            file.sync_all().map_err(unwritable)?;
        }
        fs::rename(partial, self.stage_folder(id)).map_err(unwritable)
    }

    /// The wall time of a finished stage, seconds; NaN if it was not kept.
    pub fn stage_seconds(&self, id: &StageId) -> f64 {
        let text = fs::read_to_string(self.stage_folder(id).join(SECONDS_FILE));
        let seconds = text.ok().and_then(|text| text.parse().ok());
        seconds.unwrap_or(f64::NAN)
    }

    /// The records of a finished stage.
    ///
    /// # Errors
    ///
    /// [`StoreError::Table`].
    pub fn stage_records(&self, id: &StageId) -> Result<Vec<Record>, StoreError> {
        Ok(parquet::read_records(
            &self.stage_folder(id).join(RECORDS_FILE),
        )?)
    }

    /// The rows of one kind that a finished stage left.
    ///
    /// # Errors
    ///
    /// [`StoreError::Rows`].
    pub fn stage_rows<T: RowFile>(&self, id: &StageId) -> Result<Vec<T>, StoreError> {
        Ok(rows_file::read_csv_rows(
            &self.stage_folder(id).join(T::FILE_NAME),
        )?)
    }

    /// Writes `name` in the folder of results: whole or not at all.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`].
    pub fn publish_text(&self, name: &str, text: &str) -> Result<(), StoreError> {
        self.write_file(&self.folder.join(name), text.as_bytes())
    }

    /// Writes all records, with the provenance in the footer: whole or not at all.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the disk refuses.
    pub fn publish_records(&self, records: &[Record], provenance: &str) -> Result<(), StoreError> {
        self.publish(RECORDS_FILE, |path| {
            Ok(parquet::write_records(path, records, provenance)?)
        })
    }

    /// Writes all rows of one kind: whole or not at all, and no file if there are none.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the disk refuses.
    pub fn publish_rows<T: RowFile>(&self, rows: &[T]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return remove_if_there(&self.folder.join(T::FILE_NAME));
        }
        self.publish(T::FILE_NAME, |path| {
            Ok(rows_file::write_csv_rows(path, rows)?)
        })
    }

    /// Publishes the file that `write` writes to a path.
    fn publish(
        &self,
        name: &str,
        write: impl FnOnce(&Path) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let path = self.folder.join(name);
        let unwritable = |source| StoreError::Unwritable {
            path: path.clone(),
            source,
        };
        let temporary = readable_temporary(&self.folder).map_err(unwritable)?;
        write(temporary.path())?;
        temporary.as_file().sync_all().map_err(unwritable)?;
        temporary
            .persist(&path)
            .map_err(|error| unwritable(error.error))?;
        Ok(())
    }

    /// Whether exactly the plans of this digest were finished and their files are all still there.
    pub fn is_finished(&self, plans: &str, files: &[&str]) -> bool {
        let marker = fs::read_to_string(self.folder.join(STAGES_FOLDER).join(FINISHED_FILE));
        marker.is_ok_and(|finished| finished == plans)
            && files.iter().all(|file| self.folder.join(file).is_file())
    }

    /// Forgets that plans were finished: what is published is about to change.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`].
    pub fn unmark_finished(&self) -> Result<(), StoreError> {
        remove_if_there(&self.folder.join(STAGES_FOLDER).join(FINISHED_FILE))
    }

    /// Notes that the plans of this digest are finished.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`].
    pub fn mark_finished(&self, plans: &str) -> Result<(), StoreError> {
        self.write_file(
            &self.folder.join(STAGES_FOLDER).join(FINISHED_FILE),
            plans.as_bytes(),
        )
    }

    fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let write = || -> io::Result<()> {
            let folder = path.parent().expect("a file has a folder");
            let mut temporary = readable_temporary(folder)?;
            temporary.write_all(bytes)?;
            temporary.as_file().sync_all()?;
            temporary.persist(path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|source| StoreError::Unwritable {
            path: path.to_owned(),
            source,
        })
    }
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StoreError::Unwritable {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// A temporary file that others may read once it is published, as far as the umask lets them.
fn readable_temporary(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".amortgap-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// Runs `work` on a thread of its own, and waits.
///
/// polars waits for a thread pool of its own; a worker of ours that waits in another pool would
/// begin the next stage meanwhile, inside the one that it has not finished.
fn run_on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What is in a folder of results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The experiment.
    pub experiment: String,
    /// Finished stages.
    pub stages: usize,
    /// Stages that were begun and not finished.
    pub partial: usize,
    /// Whether a plan was finished and published.
    pub finished: bool,
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
    let experiment = fs::read_to_string(stages.join("experiment")).map_err(|error| {
        let message = format!("{}: no run was started here ({error})", folder.display());
        io::Error::new(error.kind(), message)
    })?;
    let names: Vec<PathBuf> = fs::read_dir(&stages)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    let lock = File::open(stages.join("lock"))?;
    Ok(Status {
        experiment,
        stages: names
            .iter()
            .filter(|path| path.join(RECORDS_FILE).is_file() && path.extension().is_none())
            .count(),
        partial: names
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "partial"))
            .count(),
        finished: stages.join(FINISHED_FILE).is_file(),
        in_use: matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)),
    })
}
