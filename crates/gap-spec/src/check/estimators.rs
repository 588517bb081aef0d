//! Checks `[estimators]`.

use super::{SpecConflict, refuse};
use crate::adaptive::AdaptiveSpec;
use crate::annealing::{AnnealedSpec, AnnealedStart, AnnealingSchedule};
use crate::experiment::ExperimentSpec;
use crate::model::ModelKind;

/// Why draws from the prior do not go with a time series, whose prior depends on the preceding observation.
const NEEDS_STANDARD_NORMAL_PRIOR: &str =
    "which is of the standard normal, and that is not the prior of `model.kind = \"time-series\"`";

impl ExperimentSpec {
    pub(super) fn check_estimators(&self) -> Result<(), SpecConflict> {
        if let Some(adaptive) = &self.estimators.adaptive {
            check_adaptive(adaptive)?;
            let share = adaptive.prior_share;
            if share > 0.0 && self.model.kind == ModelKind::TimeSeries {
                return refuse(
                    "estimators.adaptive.prior_share",
                    format!("is {share}, {NEEDS_STANDARD_NORMAL_PRIOR}; set it to 0"),
                );
            }
        }
        let Some(annealed) = &self.estimators.annealed else {
            return Ok(());
        };
        check_path(annealed)?;
        if annealed.chains.get() < 2 {
            return refuse(
                "estimators.annealed.chains",
                "is 1, from which no standard error can be had; use at least 2, as in 16",
            );
        }
        if annealed.start == AnnealedStart::Prior && self.model.kind == ModelKind::TimeSeries {
            return refuse(
                "estimators.annealed.start",
                format!("is `prior`, {NEEDS_STANDARD_NORMAL_PRIOR}; use \"free-form\""),
            );
        }
        if annealed.start == AnnealedStart::Encoder && self.model.training.is_none() {
            return refuse(
                "estimators.annealed.start",
                "is `encoder`, but `[model.training]` is not there, so no encoder comes with the model; use \"free-form\"",
            );
        }
        Ok(())
    }
}

fn check_adaptive(adaptive: &AdaptiveSpec) -> Result<(), SpecConflict> {
    let (first, most) = (adaptive.first_samples, adaptive.most_samples);
    if most < first {
        return refuse(
            "estimators.adaptive.most_samples",
            format!(
                "is {}, less than the {} of `estimators.adaptive.first_samples`",
                most.get(),
                first.get()
            ),
        );
    }
    let share = adaptive.prior_share;
    if !(0.0..1.0).contains(&share) {
        return refuse(
            "estimators.adaptive.prior_share",
            format!("is {share}; use a share from 0 to below 1, as in 0.1"),
        );
    }
    Ok(())
}

/// Checks that the path goes from 0 to 1, and that its length is set by exactly one key.
fn check_path(annealed: &AnnealedSpec) -> Result<(), SpecConflict> {
    const KEY: &str = "estimators.annealed.schedule";
    match (&annealed.schedule, annealed.temperatures) {
        (AnnealingSchedule::Shape(_), None) => refuse(
            KEY,
            "needs `estimators.annealed.temperatures`, as in 1000; or list the inverse temperatures",
        ),
        (AnnealingSchedule::Shape(_), Some(temperatures)) => {
            if temperatures.get() < 2 {
                return refuse(
                    "estimators.annealed.temperatures",
                    "is 1, but a path has two ends; use at least 2, as in 1000",
                );
            }
            Ok(())
        }
        (AnnealingSchedule::Listed(_), Some(_)) => refuse(
            "estimators.annealed.temperatures",
            "does not go with a listed `estimators.annealed.schedule`; remove one of them",
        ),
        (AnnealingSchedule::Listed(listed), None) => {
            let rises = listed.is_sorted_by(|a, b| a < b);
            if listed.len() >= 2 && rises && listed[0] == 0.0 && listed[listed.len() - 1] == 1.0 {
                return Ok(());
            }
            refuse(
                KEY,
                "must rise from 0 to 1, both of them in it, as in [0.0, 0.5, 1.0]",
            )
        }
    }
}
