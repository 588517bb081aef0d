//! Rows to CSV and back: what a run knows beyond its records.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// A kind of row with a file of its own.
pub trait RowFile: Serialize + DeserializeOwned {
    /// The file, in the folder of a stage and in that of the results.
    const FILE_NAME: &'static str;

    /// The row as one of a variant: a stage may serve several, so only the plan can say which.
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

/// The rows in the file `path`.
///
/// # Errors
///
/// [`RowsError`] if it cannot be read, or holds other rows.
pub fn read_csv_rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, RowsError> {
    let mut reader = csv::Reader::from_path(path).map_err(rows_error_at_path(path))?;
    reader
        .deserialize()
        .map(|row| row.map_err(rows_error_at_path(path)))
        .collect()
}
