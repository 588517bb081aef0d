//! Checks `[family]`, and the sections that do not go with every family.

use super::{MAX_SOBOL_DIMENSIONS, SpecConflict, refuse};
use crate::experiment::ExperimentSpec;
use crate::family::Family;
use crate::search::Protocol;
use crate::step_rule::StepRule;

impl ExperimentSpec {
    pub(super) fn check_family(&self) -> Result<(), SpecConflict> {
        let family = self.family.kind;
        self.check_family_in_one_dimension()?;
        self.check_density()?;
        self.check_draws_of_family()?;
        let mut searches = self.all_searches();
        let published = searches.find(|(_, s)| s.protocol == Protocol::AdamCremer2018);
        if let Some((section, _)) = published
            && family != Family::DiagonalGaussian
        {
            return refuse(
                &format!("{section}.protocol"),
                format!(
                    "is `adam-cremer-2018`, which ascends in `(μ, log σ²)` and does not go with `family.kind = \"{family}\"`; use \"default\""
                ),
            );
        }
        for (section, refinement) in self.all_refinements() {
            if let Some(rule) = refinement.rule.filter(|rule| !rule.supports(family)) {
                return refuse(
                    &format!("{section}.rule"),
                    format!(
                        "is `{rule}`, which knows Gaussians only and does not go with `family.kind = \"{family}\"`; use `{section}.rule = \"{}\"`",
                        refining_rule_names(family)
                    ),
                );
            }
        }
        if self.calibration.is_some() && !family.is_gaussian() {
            return refuse(
                "calibration",
                format!(
                    "holds the ELBO to its exact value, which `family.kind = \"{family}\"` does not have; use \"diagonal-gaussian\" or \"full-gaussian\""
                ),
            );
        }
        match self.ascents.keys().next() {
            Some(name) if family != Family::DiagonalGaussian => refuse(
                &format!("ascents.{name}"),
                format!(
                    "is an ascent of diagonal Gaussians, which does not go with `family.kind = \"{family}\"`; remove it, or use \"diagonal-gaussian\""
                ),
            ),
            _ => Ok(()),
        }
    }

    /// Refuses families that in one dimension are the diagonal Gaussian with more parameters.
    fn check_family_in_one_dimension(&self) -> Result<(), SpecConflict> {
        let family = self.family.kind;
        if self.model.latent_dim.get() > 1
            || !matches!(family, Family::FullGaussian | Family::AffineFlow)
        {
            return Ok(());
        }
        refuse(
            "family.kind",
            format!(
                "is \"{family}\", which with `model.latent_dim = 1` has the same distributions as \"diagonal-gaussian\"; use that, or a family such as \"planar-flow\""
            ),
        )
    }

    /// Checks that Sobol points have enough dimensions for a draw, which in some families needs more normals
    /// than `z` has dimensions.
    fn check_draws_of_family(&self) -> Result<(), SpecConflict> {
        let (family, latent_dim) = (self.family.kind, self.model.latent_dim.get() as usize);
        if family.noise_dim(latent_dim) <= MAX_SOBOL_DIMENSIONS {
            return Ok(());
        }
        let mut fitting = (1..latent_dim).rev();
        let most = fitting.find(|&dim| family.noise_dim(dim) <= MAX_SOBOL_DIMENSIONS);
        refuse(
            "model.latent_dim",
            format!(
                "is above {}, where the Sobol points end that draws of `family.kind = \"{family}\"` are made of",
                most.unwrap_or(0)
            ),
        )
    }

    /// Checks that `q` has a density at draws of the prior, which a defensive mixture with the prior needs.
    fn check_density(&self) -> Result<(), SpecConflict> {
        let Some(adaptive) = &self.estimators.adaptive else {
            return Ok(());
        };
        let family = self.family.kind;
        let share = adaptive.prior_share;
        if share > 0.0 && !family.has_density() {
            return refuse(
                "estimators.adaptive.prior_share",
                format!(
                    "is {share}, for which the density of `q` is needed at draws of the prior; `family.kind = \"{family}\"` has one at its own draws alone: set it to 0, or use another family",
                ),
            );
        }
        Ok(())
    }
}

/// The rules that refine a `q` of this family, joined for a message.
fn refining_rule_names(family: Family) -> String {
    let fitting = StepRule::refining_rules().filter(|(rule, _)| rule.supports(family));
    let names: Vec<&str> = fitting.map(|(rule, _)| rule.as_str()).collect();
    names.join("\"` or `\"")
}
