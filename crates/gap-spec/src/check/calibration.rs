//! Checks `[calibration]`.

use super::{SpecConflict, refuse};
use crate::experiment::ExperimentSpec;
use crate::model::ModelKind;

impl ExperimentSpec {
    pub(super) fn check_calibration(&self) -> Result<(), SpecConflict> {
        let Some(calibration) = &self.calibration else {
            return Ok(());
        };
        if self.model.kind != ModelKind::LinearGaussian {
            return refuse(
                "calibration",
                format!(
                    "is for `model.kind = \"linear-gaussian\"`, whose `log p(x)` is exact, and not for `model.kind = \"{}\"`; use that, or remove the section",
                    self.model.kind
                ),
            );
        }
        let replicates = &calibration.replicates;
        if replicates.get() < 2 {
            return refuse(
                "calibration.replicates",
                "is 1, which has no spread; use at least 2, as in 1000",
            );
        }
        Ok(())
    }
}
