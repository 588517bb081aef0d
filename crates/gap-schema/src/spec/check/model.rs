//! `[model]`, and what it needs of `[data]`.

use super::{SpecConflict, refuse};
use crate::spec::{DecoderSharing, ExperimentSpec, Likelihood, ModelKind, SYNTHETIC};
use std::ops::Range;
use toml::Spanned;

impl ExperimentSpec {
    pub(super) fn check_model(&self) -> Result<(), SpecConflict> {
        let model = &self.model;
        let synthetic = self.data.name.get_ref() == SYNTHETIC;
        if model.latent_dim.get_ref().get() > 256 {
            return refuse(
                "model.latent_dim",
                &model.latent_dim,
                "is above 256, where the Sobol points of the ascent end",
            );
        }
        match (&model.observed_dim, synthetic) {
            (Some(given), false) => {
                return refuse(
                    "model.observed_dim",
                    given,
                    format!(
                        "does not apply to `data.name = \"{}\"`, which has a size of its own; remove it",
                        self.data.name.get_ref()
                    ),
                );
            }
            (None, true) => {
                return refuse(
                    "model.latent_dim",
                    &model.latent_dim,
                    "stands alone; synthetic data also needs `model.observed_dim`",
                );
            }
            _ => {}
        }
        let misplaced = |key: &str, span: Option<Range<usize>>| match span {
            Some(span) => Err(SpecConflict {
                key: format!("model.{key}"),
                message: format!(
                    "does not apply to `model.kind = \"{}\"`; remove it",
                    model.kind
                ),
                span,
            }),
            None => Ok(()),
        };
        match model.kind {
            ModelKind::LinearGaussian => {
                misplaced("hidden", model.hidden.as_ref().map(Spanned::span))?;
                misplaced("activation", model.activation.as_ref().map(Spanned::span))?;
                misplaced("likelihood", model.likelihood.as_ref().map(Spanned::span))?;
                misplaced("decoder", model.decoder.as_ref().map(Spanned::span))?;
                misplaced("training", model.training.as_ref().map(Spanned::span))?;
                self.check_condition_number()?;
                if !synthetic {
                    return refuse(
                        "data.name",
                        &self.data.name,
                        "does not go with `model.kind = \"linear-gaussian\"`, which is not fitted to data; use `data.name = \"synthetic\"`",
                    );
                }
            }
            ModelKind::MlpDecoder => {
                let condition_number = model.condition_number.as_ref();
                misplaced("condition_number", condition_number.map(Spanned::span))?;
                self.check_noise_std()?;
                if model.hidden.is_none() {
                    return refuse(
                        "model.latent_dim",
                        &model.latent_dim,
                        "stands alone; an MLP decoder also needs `model.hidden`, as in [64, 64], or [] for a linear one",
                    );
                }
                match (&model.training, synthetic) {
                    (Some(training), true) => {
                        return refuse(
                            "model.training",
                            training,
                            "does not go with `data.name = \"synthetic\"`, whose model is the truth; remove the section",
                        );
                    }
                    (None, false) => {
                        return refuse(
                            "data.name",
                            &self.data.name,
                            "is real data, so the decoder must be fitted; add `[model.training]`",
                        );
                    }
                    _ => {}
                }
                self.check_decoder_sharing()?;
            }
        }
        Ok(())
    }

    /// The loadings that give a condition number are as many orthogonal directions of `x` as `z` has
    /// dimensions.
    fn check_condition_number(&self) -> Result<(), SpecConflict> {
        const KEY: &str = "model.condition_number";
        let model = &self.model;
        let Some(condition_number) = &model.condition_number else {
            return Ok(());
        };
        let value = condition_number.get_ref().get();
        if value < 1.0 {
            return refuse(
                KEY,
                condition_number,
                format!("is {value}; use a number of at least 1, as in 100"),
            );
        }
        let latent_dim = model.latent_dim.get_ref().get();
        if latent_dim == 1 && value > 1.0 {
            return refuse(
                KEY,
                condition_number,
                "does not go with `model.latent_dim = 1`, where the precision is one number; remove it",
            );
        }
        match &model.observed_dim {
            Some(observed_dim) if observed_dim.get_ref().get() < latent_dim => refuse(
                KEY,
                condition_number,
                format!(
                    "needs `model.observed_dim` to be at least the {latent_dim} of `model.latent_dim`, not {}",
                    observed_dim.get_ref().get()
                ),
            ),
            _ => Ok(()),
        }
    }

    fn check_noise_std(&self) -> Result<(), SpecConflict> {
        let model = &self.model;
        match (self.likelihood(), &model.noise_std, &model.likelihood) {
            (Likelihood::Gaussian, None, Some(likelihood)) => refuse(
                "model.likelihood",
                likelihood,
                "is `gaussian`, which needs `model.noise_std`: the standard deviation of a pixel, as in 0.1",
            ),
            (Likelihood::Bernoulli, Some(noise_std), _) => refuse(
                "model.noise_std",
                noise_std,
                "does not go with `model.likelihood = \"bernoulli\"`; remove it, or use `model.likelihood = \"gaussian\"`",
            ),
            _ => Ok(()),
        }
    }

    fn check_decoder_sharing(&self) -> Result<(), SpecConflict> {
        let Some(training) = &self.model.training else {
            return match &self.model.decoder {
                Some(decoder) => refuse(
                    "model.decoder",
                    decoder,
                    "does not go with `data.name = \"synthetic\"`, whose model is the truth; remove it",
                ),
                None => Ok(()),
            };
        };
        match (&training.get_ref().encoder_hidden, self.decoder_sharing()) {
            (None, DecoderSharing::Shared) => refuse(
                "model.training",
                training,
                "needs `encoder_hidden`: the encoder that the shared decoder is fitted with",
            ),
            (Some(hidden), DecoderSharing::Joint) => refuse(
                "model.training.encoder_hidden",
                hidden,
                "does not go with `model.decoder = \"joint\"`, where each of `encoders` is fitted with a decoder of its own; remove it",
            ),
            _ => Ok(()),
        }
    }
}
