//! Reads and writes rows as CSV, for the results of a run that are not records.

use crate::results::MOST_TABLE_BYTES;
use gap_spec::input_file;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// A kind of row with a file of its own.
pub trait RowFile: Serialize + DeserializeOwned {
    /// The name of the file, both in the folder of a stage and in that of the results.
    const FILE_NAME: &'static str;

    /// Returns the row with this variant. A stage does not know its variant, since several may share the stage.
    #[must_use]
    fn with_variant(self, variant: Option<String>) -> Self;
}

/// A file of rows cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {message}")]
pub struct RowsError {
    path: PathBuf,
    message: String,
}

fn rows_error_at_path<E: ToString>(path: &Path) -> impl Fn(E) -> RowsError + '_ {
    move |error| RowsError {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

/// Writes the rows to the file `path`.
///
/// # Errors
///
/// [`RowsError`] if the file cannot be written.
pub fn write_csv_rows<T: Serialize>(path: &Path, rows: &[T]) -> Result<(), RowsError> {
    let mut writer = csv::Writer::from_path(path).map_err(rows_error_at_path(path))?;
    for row in rows {
        writer.serialize(row).map_err(rows_error_at_path(path))?;
    }
    writer.flush().map_err(rows_error_at_path(path))
}

/// Reads the rows in the file `path`.
///
/// # Errors
///
/// [`RowsError`] if the file cannot be read, or holds rows of another kind.
pub fn read_csv_rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, RowsError> {
    let bytes = input_file::read(path, MOST_TABLE_BYTES).map_err(rows_error_at_path(path))?;
    csv::Reader::from_reader(bytes.as_slice())
        .deserialize()
        .map(|row| row.map_err(rows_error_at_path(path)))
        .collect()
}
