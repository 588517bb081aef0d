//! Checks `[[encoders]]`, and the sections that belong to them.

use super::names::MAX_NAME_CHARACTERS;
use super::rates::check_learning_rate;
use super::{SpecConflict, first_repeated, refuse};
use crate::encoder::{EncoderKind, EncoderSpec};
use crate::experiment::ExperimentSpec;
use crate::model::DecoderSharing;
use crate::number::Count;
use crate::objective::ObjectiveSpec;

impl ExperimentSpec {
    pub(super) fn check_encoders(&self) -> Result<(), SpecConflict> {
        let encoders = &self.encoders;
        if encoders.is_empty() {
            return self.check_without_encoders();
        }
        let missing = |section: &str| {
            refuse(
                "encoders",
                format!("are to be fitted and measured; add `[{section}]`"),
            )
        };
        match (self.model.decoder_sharing(), &self.encoder_training) {
            (DecoderSharing::Shared, None) => return missing("encoder_training"),
            (DecoderSharing::Joint, Some(_)) => {
                return refuse(
                    "encoder_training",
                    "does not go with `model.decoder = \"joint\"`, where each encoder is fitted with its decoder, as `[model.training]` says; remove it",
                );
            }
            (DecoderSharing::Shared, Some(training)) => {
                check_learning_rate("encoder_training.learning_rate", training.learning_rate)?;
            }
            (DecoderSharing::Joint, None) => {}
        }
        if self.all_refinements().next().is_none() {
            return missing("refinement");
        }
        for (i, encoder) in encoders.iter().enumerate() {
            self.check_sizes(i, encoder)?;
            self.check_context(i, encoder)?;
            self.check_objective(i, encoder.objective)?;
            check_length_of_name(i, encoder)?;
        }
        let names: Vec<String> = encoders.iter().map(EncoderSpec::name).collect();
        match first_repeated(&names) {
            Some(name) => refuse(
                "encoders",
                format!("has `{name}` twice; results could not tell them apart"),
            ),
            None => Ok(()),
        }
    }

    /// Checks that the encoder has the widths or channels that its kind needs, and no others.
    fn check_sizes(&self, i: usize, encoder: &EncoderSpec) -> Result<(), SpecConflict> {
        let kind = encoder.kind;
        let lacks = match kind {
            EncoderKind::Mlp if encoder.hidden.is_none() => {
                Some("is an `mlp` without `hidden`; give its widths, as in [64]")
            }
            EncoderKind::Own => Some(
                "is an encoder of your own, which only a Rust program can measure; use `linear`, `mlp` or `conv`",
            ),
            EncoderKind::Conv if encoder.channels.is_none() => Some(
                "is a `conv` without `channels`; give those of its two convolutions, as in [16, 32]",
            ),
            _ => None,
        };
        if let Some(lacks) = lacks {
            return refuse(&format!("encoders[{i}]"), lacks);
        }
        match (&encoder.hidden, &encoder.channels) {
            (Some(_), _) if kind != EncoderKind::Mlp => refuse(
                &format!("encoders[{i}].hidden"),
                format!(
                    "does not apply to `kind = \"{kind}\"`; remove it, or use `kind = \"mlp\"`"
                ),
            ),
            (Some(hidden), _) if hidden.is_empty() => refuse(
                &format!("encoders[{i}].hidden"),
                "is empty; give at least one width, or use `kind = \"linear\"`",
            ),
            (_, Some(_)) if kind != EncoderKind::Conv => refuse(
                &format!("encoders[{i}].channels"),
                format!(
                    "does not apply to `kind = \"{kind}\"`; remove it, or use `kind = \"conv\"`"
                ),
            ),
            (_, Some(_)) if self.data.is_synthetic() => refuse(
                &format!("encoders[{i}].channels"),
                "are of a convolution, which does not go with `data.name = \"synthetic\"`: its points are no images; use `kind = \"mlp\"`",
            ),
            _ => Ok(()),
        }
    }

    fn check_context(&self, i: usize, encoder: &EncoderSpec) -> Result<(), SpecConflict> {
        let Some(context) = encoder.context else {
            return Ok(());
        };
        let (given, kind) = (context.get(), self.model.kind);
        let most = kind.max_encoder_context();
        if given <= most {
            return Ok(());
        }
        let message = if most == 1 {
            format!(
                "is {given}, but points of `data.name = \"{}\"` under `model.kind = \"{kind}\"` have no order, so there are no neighbours to see; remove it, or use `model.kind = \"time-series\"`",
                self.data.name
            )
        } else {
            format!(
                "is {given}, but `model.kind = \"{kind}\"` depends on {most} observations; use at most {most}"
            )
        };
        refuse(&format!("encoders[{i}].context"), message)
    }

    fn check_objective(&self, i: usize, objective: ObjectiveSpec) -> Result<(), SpecConflict> {
        let key = format!("encoders[{i}].objective");
        let (kind, family) = (objective.kind, self.family.kind);
        match objective.n_importance.map(Count::get) {
            Some(_) if !kind.weighs_draws() => {
                return refuse(
                    &format!("{key}.n_importance"),
                    format!("does not apply to `kind = \"{kind}\"`; remove it"),
                );
            }
            Some(1) => {
                return refuse(
                    &format!("{key}.n_importance"),
                    "is 1, and one draw has nothing to be weighed against; use 2 or more",
                );
            }
            _ => {}
        }
        if !objective.is_elbo() && self.model.decoder_sharing() == DecoderSharing::Joint {
            return refuse(
                &key,
                format!(
                    "is \"{kind}\", which does not go with `model.decoder = \"joint\"`, where an encoder and its decoder are fitted by their ELBO; use \"elbo\", or `model.decoder = \"shared\"`"
                ),
            );
        }
        if kind.needs_density() && !family.has_density() {
            return refuse(
                &key,
                format!(
                    "is \"{kind}\", for which the density of `q` is needed; `family.kind = \"{family}\"` has one at its own draws alone: use \"elbo\", or another family"
                ),
            );
        }
        Ok(())
    }

    /// Without encoders there must be ascents or a calibration, and no section that belongs to encoders.
    fn check_without_encoders(&self) -> Result<(), SpecConflict> {
        if self.ascents.is_empty() && self.calibration.is_none() {
            return refuse(
                "encoders",
                "is empty; add at least one [[encoders]] with `kind = \"linear\"` or `kind = \"mlp\"`, an [ascents.NAME] to compare, or a [calibration]",
            );
        }
        let without = "stands without `encoders`; remove it, or add an [[encoders]]";
        if self.encoder_training.is_some() {
            return refuse("encoder_training", without);
        }
        match self.all_refinements().next() {
            Some((section, _)) => refuse(&section, without),
            None => Ok(()),
        }
    }
}

/// Checks the name of an encoder in results, which its widths and its objective make.
fn check_length_of_name(i: usize, encoder: &EncoderSpec) -> Result<(), SpecConflict> {
    let name = encoder.name();
    if name.len() <= MAX_NAME_CHARACTERS {
        return Ok(());
    }
    refuse(
        &format!("encoders[{i}].hidden"),
        format!(
            "has {} layers, whose widths make a name of {} characters in results; use fewer layers, whose name has at most {MAX_NAME_CHARACTERS}",
            encoder.widths().len(),
            name.len()
        ),
    )
}
