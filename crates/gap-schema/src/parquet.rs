//! Reads and writes records as Parquet, with the provenance in the file's footer.

use crate::columns::records_from_frame;
use crate::parquet_frame::read_frame;
use crate::record::Record;
use crate::results::MOST_TABLE_BYTES;
use gap_spec::input_file;
use polars::prelude::*;
use std::path::{Path, PathBuf};

pub use crate::columns::records_to_frame;

/// A table of records cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {message}")]
pub struct TableError {
    path: PathBuf,
    message: String,
}

fn table_error_at_path(path: &Path) -> impl Fn(&dyn std::fmt::Display) -> TableError + '_ {
    move |error| TableError {
        path: path.to_owned(),
        message: error
            .to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

/// The footer's key for the provenance.
pub const PROVENANCE_KEY: &str = "amortgap.provenance";

/// Returns the content of a table of `records`, with `provenance` (JSON) in the footer.
///
/// # Errors
///
/// [`PolarsError`] if the table cannot be made.
pub fn records_to_bytes(records: &[Record], provenance: &str) -> PolarsResult<Vec<u8>> {
    let mut frame = records_to_frame(records)?;
    let footer = vec![(PROVENANCE_KEY.to_owned(), provenance.to_owned())];
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_key_value_metadata(Some(KeyValueMetadata::from_static(footer)))
        .finish(&mut frame)?;
    Ok(bytes)
}

/// Reads the records of the table `bytes`, the content of the file `path`.
///
/// # Errors
///
/// [`TableError`] if the table is cut short or has another schema.
pub fn records_from_bytes(bytes: &[u8], path: &Path) -> Result<Vec<Record>, TableError> {
    let wrong = table_error_at_path(path);
    let frame = read_frame(bytes).map_err(|e| wrong(&e))?;
    records_from_frame(&frame).map_err(|e| wrong(&e))
}

/// Reads the records in the file `path`.
///
/// # Errors
///
/// [`TableError`] if the file is missing or cut short, or has another schema.
pub fn read_records(path: &Path) -> Result<Vec<Record>, TableError> {
    let bytes =
        input_file::read(path, MOST_TABLE_BYTES).map_err(|e| table_error_at_path(path)(&e))?;
    records_from_bytes(&bytes, path)
}
