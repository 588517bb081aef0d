//! The wall time that the stages of a run took.

use crate::error::RunError;
use crate::plan::Plan;
use crate::stage_results;
use gap_schema::summary::StageCost;
use gap_store::Store;

/// The wall time of the stages of `plans`, in the order of the plans. Stages of one variant that do the same
/// task, as for several seeds, are added up. A stage that an earlier run finished counts with the time that it
/// took then.
///
/// # Errors
///
/// [`RunError`] if a stage cannot be read.
pub fn costs(plans: &[Plan], store: &Store) -> Result<Vec<StageCost>, RunError> {
    let mut costs: Vec<StageCost> = Vec::new();
    for plan in plans {
        for (id, stage) in plan.stages() {
            let (variant, task) = (plan.variant().map(str::to_owned), stage.task_description());
            let seconds = stage_results::read_seconds(store, id)?;
            let known = costs
                .iter_mut()
                .find(|cost| cost.variant == variant && cost.stage == task);
            if let Some(cost) = known {
                cost.n += 1;
                cost.seconds += seconds;
            } else {
                costs.push(StageCost {
                    variant,
                    stage: task,
                    n: 1,
                    seconds,
                });
            }
        }
    }
    Ok(costs)
}
