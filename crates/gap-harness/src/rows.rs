//! Rows that some stages leave beside their records, and that a run publishes together.

use crate::plan::Plan;
use crate::store::{Store, StoreError};
use crate::work::Stage;
use gap_schema::{CalibrationRow, PictureRow, TracePoint, results};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A kind of row with a file of its own.
pub trait StageRow: Serialize + DeserializeOwned {
    /// The file, in the folder of a stage and in that of the results.
    const FILE: &'static str;

    /// Whether the stage leaves some.
    fn are_left_by(stage: &Stage) -> bool;

    /// The row as one of a variant: a stage may serve several, so only the plan can say which.
    #[must_use]
    fn with_variant(self, variant: Option<String>) -> Self;
}

impl StageRow for TracePoint {
    const FILE: &'static str = results::ASCENTS;

    fn are_left_by(stage: &Stage) -> bool {
        matches!(stage, Stage::Ascent(_))
    }

    fn with_variant(self, variant: Option<String>) -> Self {
        Self { variant, ..self }
    }
}

impl StageRow for CalibrationRow {
    const FILE: &'static str = results::CALIBRATION;

    fn are_left_by(stage: &Stage) -> bool {
        matches!(stage, Stage::Calibration(_))
    }

    fn with_variant(self, variant: Option<String>) -> Self {
        Self { variant, ..self }
    }
}

impl StageRow for PictureRow {
    const FILE: &'static str = results::PICTURES;

    fn are_left_by(stage: &Stage) -> bool {
        matches!(stage, Stage::Pictures(_))
    }

    fn with_variant(self, variant: Option<String>) -> Self {
        Self { variant, ..self }
    }
}

/// Whether a run of these plans leaves rows of this kind.
pub fn are_expected<T: StageRow>(plans: &[Plan]) -> bool {
    let mut stages = plans.iter().flat_map(Plan::stages);
    stages.any(|(_, stage)| T::are_left_by(stage))
}

/// The rows of every stage, in the order of the plans, each with its variant.
///
/// # Errors
///
/// [`StoreError`] if a stage's rows cannot be read.
pub fn collect<T: StageRow>(plans: &[Plan], store: &Store) -> Result<Vec<T>, StoreError> {
    let mut rows = Vec::new();
    for plan in plans {
        let stages = plan.stages().iter();
        for (id, _) in stages.filter(|(_, stage)| T::are_left_by(stage)) {
            let of_stage: Vec<T> = store.stage_rows(id)?;
            let variant = || plan.variant().map(str::to_owned);
            rows.extend(of_stage.into_iter().map(|row| row.with_variant(variant())));
        }
    }
    Ok(rows)
}
