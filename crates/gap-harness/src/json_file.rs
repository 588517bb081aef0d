//! Plain data in the files of stages, as JSON.

use crate::error::{RunError, stage_error};
use gap_store::{StageInput, StageOutput};
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

/// Reads what [`write_json`] added, after the stage has finished.
pub fn read_json<T: for<'de> Deserialize<'de>>(
    input: StageInput,
    name: &str,
) -> Result<T, RunError> {
    serde_json::from_slice(&input.read(name)?).map_err(stage_error)
}
