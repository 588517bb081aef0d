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

/// A file of rows cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {message}")]
pub struct RowsError {
    path: PathBuf,
    message: String,
}

/// Returns the rows as the content of a CSV file.
///
/// # Errors
///
/// [`csv::Error`] if a row cannot be written as one line of plain values.
pub fn rows_to_csv<T: Serialize>(rows: &[T]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    writer
        .into_inner()
        .map_err(|error| error.into_error().into())
}

/// Reads the rows in `bytes`, the content of the CSV file `path`.
///
/// # Errors
///
/// [`RowsError`] if `bytes` hold rows of another kind.
pub fn rows_from_csv<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<Vec<T>, RowsError> {
    let mut reader = csv::Reader::from_reader(bytes);
    let rows = reader.deserialize();
    let wrong = |error: csv::Error| RowsError {
        path: path.to_owned(),
        message: error.to_string(),
    };
    rows.map(|row| row.map_err(wrong)).collect()
}

/// Reads the rows in the CSV file `path`.
///
/// # Errors
///
/// [`RowsError`] if the file cannot be read, or holds rows of another kind.
pub fn read_csv_rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, RowsError> {
    let bytes = input_file::read(path, MOST_TABLE_BYTES).map_err(|error| RowsError {
        path: path.to_owned(),
        message: error.to_string(),
    })?;
    rows_from_csv(&bytes, path)
}
