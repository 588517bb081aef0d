//! What every stage leaves: records, its wall time, and rows of other kinds.

use crate::error::{RunError, stage_error};
use crate::stage_id::StageId;
use gap_schema::results::RECORDS_FILE;
use gap_schema::{Record, RowFile, parquet, rows_file};
use gap_store::{StageOutput, Store};
use std::path::{Path, PathBuf};

/// The file with the wall time of a stage, seconds: with that up to the checkpoint from which it went on.
const SECONDS_FILE: &str = "seconds";

/// Publishes the files of a stage with its records and its wall time. The stage has to be claimed.
///
/// # Errors
///
/// [`RunError::Store`] if the disk refuses.
pub fn publish(
    store: &Store,
    id: &StageId,
    output: StageOutput,
    records: &[Record],
    seconds: f64,
) -> Result<(), RunError> {
    output.add(RECORDS_FILE, records_to_bytes(records)?);
    let seconds = output.earlier_seconds() + seconds;
    output.add(SECONDS_FILE, seconds.to_string());
    Ok(store.publish_stage(id.as_str(), &output.into_files())?)
}

/// The content of a file of records.
///
/// # Errors
///
/// [`RunError`] if they make no table.
pub fn records_to_bytes(records: &[Record]) -> Result<Vec<u8>, RunError> {
    run_on_own_thread(|| parquet::records_to_bytes(records, "{}")).map_err(stage_error)
}

/// Reads the content of the file of records `path`.
///
/// # Errors
///
/// [`RunError`] if it is no such table.
pub fn records_from_bytes(bytes: &[u8], path: &Path) -> Result<Vec<Record>, RunError> {
    run_on_own_thread(|| parquet::records_from_bytes(bytes, path)).map_err(stage_error)
}

/// Reads the records of a finished stage.
///
/// # Errors
///
/// [`RunError`] if the file is not what the stage left.
pub fn read_records(store: &Store, id: &StageId) -> Result<Vec<Record>, RunError> {
    let bytes = store.stages().read_file(id.as_str(), RECORDS_FILE)?;
    records_from_bytes(&bytes, &path_in_messages(id, RECORDS_FILE))
}

/// Reads the rows of one kind that a finished stage left.
///
/// # Errors
///
/// [`RunError`] if the file is not what the stage left.
pub fn read_rows<T: RowFile>(store: &Store, id: &StageId) -> Result<Vec<T>, RunError> {
    let bytes = store.stages().read_file(id.as_str(), T::FILE_NAME)?;
    rows_file::rows_from_csv(&bytes, &path_in_messages(id, T::FILE_NAME)).map_err(stage_error)
}

/// Reads the wall time of a finished stage, seconds.
///
/// # Errors
///
/// [`RunError`] if the file is not what the stage left.
pub fn read_seconds(store: &Store, id: &StageId) -> Result<f64, RunError> {
    let bytes = store.stages().read_file(id.as_str(), SECONDS_FILE)?;
    let text = String::from_utf8_lossy(&bytes);
    text.parse().map_err(stage_error)
}

/// How messages name a file of a stage.
fn path_in_messages(id: &StageId, file: &str) -> PathBuf {
    Path::new(id.as_str()).join(file)
}

/// Runs `work` on a thread of its own, and waits for it.
///
/// polars waits for a thread pool of its own. One of our workers that waited in that pool could begin the next
/// stage meanwhile, inside the one that it has not finished.
fn run_on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
