//! Reads and writes records as Parquet, with the provenance in the file's footer.

use crate::columns::records_from_frame;
use crate::parquet_frame::read_frame;
use crate::record::Record;
use crate::results::MOST_TABLE_BYTES;
use gap_spec::input_file;
use polars::prelude::*;
use std::fs::File;
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

/// Writes `records` to `path`, with `provenance` (JSON) in the footer.
///
/// # Errors
///
/// [`TableError`] if the file cannot be written.
pub fn write_records(path: &Path, records: &[Record], provenance: &str) -> Result<(), TableError> {
    let wrong = table_error_at_path(path);
    let mut frame = records_to_frame(records).map_err(|e| wrong(&e))?;
    let file = File::create(path).map_err(|e| wrong(&e))?;
    let footer = vec![(PROVENANCE_KEY.to_owned(), provenance.to_owned())];
    ParquetWriter::new(file)
        .with_key_value_metadata(Some(KeyValueMetadata::from_static(footer)))
        .finish(&mut frame)
        .map_err(|e| wrong(&e))?;
    Ok(())
}

/// Reads the records that [`write_records()`] wrote.
///
/// # Errors
///
/// [`TableError`] if the file is missing or cut short, or has another schema.
pub fn read_records(path: &Path) -> Result<Vec<Record>, TableError> {
    let wrong = table_error_at_path(path);
    let file = input_file::read(path, MOST_TABLE_BYTES).map_err(|e| wrong(&e))?;
    let frame = read_frame(&file).map_err(|e| wrong(&e))?;
    records_from_frame(&frame).map_err(|e| wrong(&e))
}
