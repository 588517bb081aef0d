//! `[family]`, and the sections that not every family goes with.

use super::{SpecConflict, refuse};
use crate::record::Family;
use crate::spec::{ExperimentSpec, Protocol, RefinementRule};

impl ExperimentSpec {
    pub(super) fn check_family(&self) -> Result<(), SpecConflict> {
        let family = self.family.kind;
        self.check_density()?;
        self.check_draws_of_family()?;
        let protocol = &self.free_form.protocol;
        if *protocol.get_ref() == Protocol::AdamCremer2018 && family != Family::DiagonalGaussian {
            return refuse(
                "free_form.protocol",
                protocol,
                format!(
                    "is `adam-cremer-2018`, which ascends in `(μ, log σ²)` and does not go with `family.kind = \"{family}\"`; use \"default\""
                ),
            );
        }
        if let Some(refinement) = &self.refinement
            && let Some(rule) = &refinement.get_ref().rule
            && *rule.get_ref() == RefinementRule::AveragedNewton
            && !family.is_gaussian()
        {
            return refuse(
                "refinement.rule",
                rule,
                format!(
                    "is `averaged-newton`, which knows Gaussians only and does not go with `family.kind = \"{family}\"`; use `refinement.rule = \"adam\"`"
                ),
            );
        }
        if let Some(calibration) = &self.calibration
            && !family.is_gaussian()
        {
            return refuse(
                "calibration",
                calibration,
                format!(
                    "holds the ELBO to its exact value, which `family.kind = \"{family}\"` does not have; use \"diagonal-gaussian\" or \"full-gaussian\""
                ),
            );
        }
        match self.ascents.keys().next() {
            Some(name) if family != Family::DiagonalGaussian => Err(SpecConflict {
                key: format!("ascents.{name}"),
                message: format!(
                    "is an ascent of diagonal Gaussians, which does not go with `family.kind = \"{family}\"`; remove it, or use \"diagonal-gaussian\""
                ),
                span: 0..0,
            }),
            _ => Ok(()),
        }
    }

    /// A draw of some families is made of more numbers than `z` has, and Sobol points have 256 at most.
    fn check_draws_of_family(&self) -> Result<(), SpecConflict> {
        let (family, latent_dim) = (self.family.kind, &self.model.latent_dim);
        let most = match family {
            Family::AuxiliaryFlow => 128,
            Family::GaussianMixture => 255,
            _ => return Ok(()),
        };
        if latent_dim.get_ref().get() <= most {
            return Ok(());
        }
        refuse(
            "model.latent_dim",
            latent_dim,
            format!(
                "is above {most}, where the Sobol points end that draws of `family.kind = \"{family}\"` are made of"
            ),
        )
    }

    /// The density of a mixture with the prior is asked for at draws of the prior.
    fn check_density(&self) -> Result<(), SpecConflict> {
        let Some(adaptive) = &self.estimators.adaptive else {
            return Ok(());
        };
        let family = self.family.kind;
        let share = &adaptive.get_ref().prior_share;
        if *share.get_ref() > 0.0 && !family.has_density() {
            return refuse(
                "estimators.adaptive.prior_share",
                share,
                format!(
                    "is {}, for which the density of `q` is needed at draws of the prior; `family.kind = \"{family}\"` has one at its own draws alone: set it to 0, or use another family",
                    share.get_ref()
                ),
            );
        }
        Ok(())
    }
}
