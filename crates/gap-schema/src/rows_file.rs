//! Reads and writes rows as CSV, for the results of a run that are not records.

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

fn rows_error_at_path(path: &Path) -> impl Fn(csv::Error) -> RowsError + '_ {
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
    writer
        .flush()
        .map_err(|error| rows_error_at_path(path)(error.into()))
}

/// Reads the rows in the file `path`.
///
/// # Errors
///
/// [`RowsError`] if the file cannot be read, or holds rows of another kind.
pub fn read_csv_rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, RowsError> {
    let mut reader = csv::Reader::from_path(path).map_err(rows_error_at_path(path))?;
    reader
        .deserialize()
        .map(|row| row.map_err(rows_error_at_path(path)))
        .collect()
}
