//! The results folder: its files are complete even if the run is killed.
//!
//! A stage writes to a temporary folder, which a single rename publishes. Other files are written under a
//! temporary name in the same folder, flushed to disk, and renamed.

use crate::stage_id::StageId;
use gap_schema::parquet::{self, TableError};
use gap_schema::results::RECORDS_FILE;
use gap_schema::rows_file::{self, RowsError};
use gap_schema::{Record, RowFile};
use gap_spec::input_file::{self, InputFileError};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why the results folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or a file in it cannot be created or written.
    #[error("cannot write to {path}: {source}; choose another folder with --out")]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// Another run is using the folder.
    #[error("{path} is in use by another run; wait for it, or choose another folder with --out")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds the results of another experiment.
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
    /// A file of rows cannot be read or written.
    #[error(transparent)]
    Rows(#[from] RowsError),
}

/// The folder of one experiment's results, locked by one run at a time.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    _lock: File,
}

const STAGES_FOLDER: &str = ".stages";
/// The file with the wall time of a stage, seconds.
const SECONDS_FILE: &str = "seconds";
const FINISHED_FILE: &str = "finished";
/// The size of the longest file with an experiment's name that is read.
const MOST_NAME_BYTES: u64 = 1 << 20;

impl Store {
    /// Opens `folder` for the experiment, creating it if needed, and locks it for this process.
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

    /// Deletes the files of all stages, and the mark that plans are finished.
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

    /// Creates an empty folder for a stage to write to, and returns its path.
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

    /// Publishes the files in a stage's folder `partial`, together with its records and its wall time.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if a file cannot be written.
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

    /// The wall time of a finished stage, seconds; NaN if it was not recorded.
    pub fn stage_seconds(&self, id: &StageId) -> f64 {
        let text = fs::read_to_string(self.stage_folder(id).join(SECONDS_FILE));
        let seconds = text.ok().and_then(|text| text.parse().ok());
        seconds.unwrap_or(f64::NAN)
    }

    /// Reads the records of a finished stage.
    ///
    /// # Errors
    ///
    /// [`StoreError::Table`].
    pub fn stage_records(&self, id: &StageId) -> Result<Vec<Record>, StoreError> {
        Ok(parquet::read_records(
            &self.stage_folder(id).join(RECORDS_FILE),
        )?)
    }

    /// Reads the rows of type `T` that a finished stage wrote.
    ///
    /// # Errors
    ///
    /// [`StoreError::Rows`].
    pub fn stage_rows<T: RowFile>(&self, id: &StageId) -> Result<Vec<T>, StoreError> {
        Ok(rows_file::read_csv_rows(
            &self.stage_folder(id).join(T::FILE_NAME),
        )?)
    }

    /// Writes the file `name` in the results folder, completely or not at all.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`].
    pub fn publish_text(&self, name: &str, text: &str) -> Result<(), StoreError> {
        self.write_file(&self.folder.join(name), text.as_bytes())
    }

    /// Writes all records, with the provenance in the footer, completely or not at all.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if a file cannot be written.
    pub fn publish_records(&self, records: &[Record], provenance: &str) -> Result<(), StoreError> {
        self.publish(RECORDS_FILE, |path| {
            Ok(parquet::write_records(path, records, provenance)?)
        })
    }

    /// Writes all rows of type `T`, completely or not at all. If there are none, it removes their file.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if a file cannot be written.
    pub fn publish_rows<T: RowFile>(&self, rows: &[T]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return remove_if_there(&self.folder.join(T::FILE_NAME));
        }
        self.publish(T::FILE_NAME, |path| {
            Ok(rows_file::write_csv_rows(path, rows)?)
        })
    }

    /// Publishes the file `name`; `write` writes its content to the path that it is given.
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

    /// Whether the plans with the digest `plans` are marked as finished, and all of `files` still exist.
    pub fn is_finished(&self, plans: &str, files: &[&str]) -> bool {
        let marker = fs::read_to_string(self.folder.join(STAGES_FOLDER).join(FINISHED_FILE));
        marker.is_ok_and(|finished| finished == plans)
            && files.iter().all(|file| self.folder.join(file).is_file())
    }

    /// Removes the mark that plans are finished; to be called before published files change.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`].
    pub fn unmark_finished(&self) -> Result<(), StoreError> {
        remove_if_there(&self.folder.join(STAGES_FOLDER).join(FINISHED_FILE))
    }

    /// Marks the plans with the digest `plans` as finished, and no others.
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

/// Creates a temporary file in `folder` that other users may read, as far as the umask allows, since it will be
/// published.
fn readable_temporary(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".amortgap-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// Runs `work` on a new thread, and waits for it.
///
/// polars waits for its own rayon pool. If one of our workers waited there, it would meanwhile start another
/// stage, inside the one that it has not finished.
fn run_on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The state of a results folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The name of the experiment.
    pub experiment: String,
    /// The number of finished stages.
    pub stages: usize,
    /// The number of stages that were started and not finished.
    pub partial: usize,
    /// Whether plans are marked as finished, with their results published.
    pub finished: bool,
    /// Whether a run is using the folder.
    pub in_use: bool,
}

/// Reads the state of a results folder, without changing it.
///
/// # Errors
///
/// An [`io::Error`] that names the folder if no run was started in it.
pub fn status(folder: &Path) -> io::Result<Status> {
    let stages = folder.join(STAGES_FOLDER);
    let no_run = |error: InputFileError| {
        let message = format!("{}: no run was started here ({error})", folder.display());
        io::Error::other(message)
    };
    let experiment =
        input_file::read_text(&stages.join("experiment"), MOST_NAME_BYTES).map_err(no_run)?;
    let names: Vec<PathBuf> = fs::read_dir(&stages)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    let lock = input_file::open(&stages.join("lock")).map_err(no_run)?;
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
