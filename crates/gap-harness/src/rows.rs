//! Collects the rows of other kinds that some stages write beside their records.

use crate::error::RunError;
use crate::plan::Plan;
use crate::stage_results;
use gap_schema::RowFile;
use gap_store::Store;

/// Whether some stage of `plans` writes rows of type `T`.
pub fn plans_leave_rows<T: RowFile>(plans: &[Plan]) -> bool {
    let mut stages = plans.iter().flat_map(Plan::stages);
    stages.any(|(_, stage)| stage.row_file_name() == Some(T::FILE_NAME))
}

/// Reads the rows of type `T` of all stages, in the order of the plans, and sets their variant.
///
/// # Errors
///
/// [`RunError`] if a stage's rows cannot be read.
pub fn collect_rows<T: RowFile>(plans: &[Plan], store: &Store) -> Result<Vec<T>, RunError> {
    let mut rows = Vec::new();
    for plan in plans {
        let stages = plan.stages().iter();
        for (id, _) in stages.filter(|(_, stage)| stage.row_file_name() == Some(T::FILE_NAME)) {
            let stage_rows: Vec<T> = stage_results::read_rows(store, id)?;
            let variant = || plan.variant().map(str::to_owned);
            rows.extend(
                stage_rows
                    .into_iter()
                    .map(|row| row.with_variant(variant())),
            );
        }
    }
    Ok(rows)
}
