//! `[[encoders]]`, and the sections that belong to them.

use super::{SpecConflict, first_repeated, refuse};
use crate::record::EncoderKind;
use crate::spec::{EncoderSpec, ExperimentSpec};

impl ExperimentSpec {
    pub(super) fn check_encoders(&self) -> Result<(), SpecConflict> {
        let encoders = self.encoders.get_ref();
        if encoders.is_empty() {
            return self.check_no_encoders();
        }
        let missing = |section: &str| SpecConflict {
            key: "encoders".to_owned(),
            message: format!("are to be fitted and measured; add `[{section}]`"),
            span: self.encoders.span(),
        };
        if self.encoder_training.is_none() {
            return Err(missing("encoder_training"));
        }
        if self.refinement.is_none() {
            return Err(missing("refinement"));
        }
        for (i, encoder) in encoders.iter().enumerate() {
            match (&encoder.hidden, encoder.kind) {
                (Some(hidden), EncoderKind::Linear) => {
                    return refuse(
                        &format!("encoders[{i}].hidden"),
                        hidden,
                        "does not apply to `kind = \"linear\"`; remove it, or use `kind = \"mlp\"`",
                    );
                }
                (Some(hidden), EncoderKind::Mlp) if hidden.get_ref().is_empty() => {
                    return refuse(
                        &format!("encoders[{i}].hidden"),
                        hidden,
                        "is empty; give at least one width, or use `kind = \"linear\"`",
                    );
                }
                (None, EncoderKind::Mlp) => {
                    return refuse(
                        &format!("encoders[{i}]"),
                        &self.encoders,
                        "is an `mlp` without `hidden`; give its widths, as in [64]",
                    );
                }
                _ => {}
            }
        }
        let names: Vec<String> = encoders.iter().map(EncoderSpec::name).collect();
        match first_repeated(&names) {
            Some(name) => refuse(
                "encoders",
                &self.encoders,
                format!("has `{name}` twice; results could not tell them apart"),
            ),
            None => Ok(()),
        }
    }

    /// Without encoders there are ascents or a calibration, and nothing that belongs to encoders.
    fn check_no_encoders(&self) -> Result<(), SpecConflict> {
        if self.ascents.is_empty() && self.calibration.is_none() {
            return refuse(
                "encoders",
                &self.encoders,
                "is empty; add at least one [[encoders]] with `kind = \"linear\"` or `kind = \"mlp\"`, an [ascents.NAME] to compare, or a [calibration]",
            );
        }
        let without = "stands without `encoders`; remove it, or add an [[encoders]]";
        if let Some(training) = &self.encoder_training {
            return refuse("encoder_training", training, without);
        }
        match &self.refinement {
            Some(refinement) => refuse("refinement", refinement, without),
            None => Ok(()),
        }
    }
}
