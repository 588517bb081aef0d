//! `[calibration]`.

use super::{SpecConflict, refuse};
use crate::spec::{ExperimentSpec, ModelKind};

impl ExperimentSpec {
    pub(super) fn check_calibration(&self) -> Result<(), SpecConflict> {
        let Some(calibration) = &self.calibration else {
            return Ok(());
        };
        if self.model.kind != ModelKind::LinearGaussian {
            return refuse(
                "calibration",
                calibration,
                format!(
                    "is for `model.kind = \"linear-gaussian\"`, whose `log p(x)` is exact, and not for `model.kind = \"{}\"`; use that, or remove the section",
                    self.model.kind
                ),
            );
        }
        let replicates = &calibration.get_ref().replicates;
        if replicates.get_ref().get() < 2 {
            return refuse(
                "calibration.replicates",
                replicates,
                "is 1, which has no spread; use at least 2, as in 1000",
            );
        }
        Ok(())
    }
}
