//! Checks `model.likelihood`, and the keys that it needs.

use super::{SpecConflict, refuse};
use crate::experiment::ExperimentSpec;
use crate::likelihood::LikelihoodKind;

impl ExperimentSpec {
    pub(super) fn check_likelihood(&self) -> Result<(), SpecConflict> {
        let model = &self.model;
        let likelihood = model.likelihood();
        match (likelihood, &model.noise_std, &model.likelihood) {
            (LikelihoodKind::Gaussian, None, Some(_)) => {
                return refuse(
                    "model.likelihood",
                    "is `gaussian`, which needs `model.noise_std`: the standard deviation of a pixel, as in 0.1; or use \"learned-gaussian\"",
                );
            }
            (LikelihoodKind::Gaussian, ..) => self.check_noise_std()?,
            (_, Some(_), _) => {
                return refuse(
                    "model.noise_std",
                    format!(
                        "does not go with `model.likelihood = \"{likelihood}\"`; remove it, or use `model.likelihood = \"gaussian\"`"
                    ),
                );
            }
            _ => {}
        }
        match &model.likelihood {
            Some(_) if likelihood.is_learned() && self.data.is_synthetic() => refuse(
                "model.likelihood",
                format!(
                    "is `{likelihood}`, whose scales are learned from data, which does not go with `data.name = \"synthetic\"`; use \"gaussian\" or \"bernoulli\""
                ),
            ),
            _ => Ok(()),
        }
    }
}
