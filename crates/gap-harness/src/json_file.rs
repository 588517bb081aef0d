//! Plain data in the files of stages, as JSON.

use crate::error::{RunError, stage_error};
use gap_store::StageOutput;
use serde::{Deserialize, Serialize};

/// Adds plain data to the files of a stage.
pub fn write_json(
    content: &impl Serialize,
    output: &StageOutput,
    name: &str,
) -> Result<(), RunError> {
    let text = serde_json::to_string(content).map_err(stage_error)?;
    output.add(name, text);
    Ok(())
}

/// Reads the content of a file that [`write_json`] added.
pub fn read_json<T: for<'de> Deserialize<'de>>(content: &[u8]) -> Result<T, RunError> {
    serde_json::from_slice(content).map_err(stage_error)
}
