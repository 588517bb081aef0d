//! JSON files in stage folders.

use crate::error::{RunError, stage_error};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// Writes `content` to a file as JSON.
pub fn write_json(content: &impl Serialize, path: &Path) -> Result<(), RunError> {
    let text = serde_json::to_string(content).map_err(stage_error)?;
    fs::write(path, text).map_err(stage_error)
}

/// Reads what [`write_json`] wrote.
pub fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, RunError> {
    let text = fs::read_to_string(path).map_err(stage_error)?;
    serde_json::from_str(&text).map_err(stage_error)
}
