//! Checks `[model]`, and the keys of `[data]` that it depends on.

use super::rates::check_learning_rate;
use super::{SpecConflict, refuse};
use crate::data::SYNTHETIC;
use crate::experiment::ExperimentSpec;
use crate::model::{
    DecoderSharing, MAX_CONDITION_NUMBER, MAX_CONDITION_NUMBER_IN_DOUBLE, ModelKind,
};
use crate::number::{Count, Positive};
use crate::precision::FloatPrecision;

/// The smallest standard deviation of noise. Numbers near 1, such as observations, are 1e-7 apart in 32 bits and 2e-16
/// in 64.
const MIN_NOISE_STD: f64 = 1e-6;
const MIN_NOISE_STD_IN_DOUBLE: f64 = 1e-12;

/// The largest standard deviation of noise. Squares of residuals beyond 1e19 are not finite in 32 bits, in which
/// networks are always fitted.
const MAX_NOISE_STD: f64 = 1e12;

/// The largest condition number of a posterior's precision with which the closed forms are right.
const fn max_condition_number(precision: FloatPrecision) -> f64 {
    match precision {
        FloatPrecision::Single => MAX_CONDITION_NUMBER,
        FloatPrecision::Double => MAX_CONDITION_NUMBER_IN_DOUBLE,
    }
}

/// The largest condition number of the covariance of `x`, with which the closed form of `log p(x)` is right to
/// about 0.001 nats.
const MAX_EVIDENCE_CONDITION_NUMBER: f64 = 1e12;

impl ExperimentSpec {
    pub(super) fn check_model(&self) -> Result<(), SpecConflict> {
        let model = &self.model;
        let synthetic = self.data.is_synthetic();
        if model.latent_dim.get() > 256 {
            return refuse(
                "model.latent_dim",
                "is above 256, where the Sobol points of the ascent end",
            );
        }
        self.check_observed_dim()?;
        match model.kind {
            ModelKind::LinearGaussian => {
                self.refuse_decoder_keys()?;
                self.check_condition_number()?;
                self.check_noise_std()?;
                self.check_noise_beside_loadings()?;
                self.check_data_is_synthetic()
            }
            kind if kind.is_scalar() => {
                self.refuse_decoder_keys()?;
                self.refuse_key("noise_std", self.model.noise_std.is_some())?;
                self.refuse_condition_number()?;
                self.check_data_is_synthetic()
            }
            ModelKind::ConvDecoder => {
                self.refuse_key("hidden", self.model.hidden.is_some())?;
                if model.channels.is_none() {
                    return refuse(
                        "model.latent_dim",
                        "stands alone; a `conv-decoder` also needs `model.channels`, as in [16, 32]",
                    );
                }
                if synthetic {
                    return refuse(
                        "data.name",
                        "is \"synthetic\", whose points are no images, which does not go with `model.kind = \"conv-decoder\"`; use `model.kind = \"mlp-decoder\"`",
                    );
                }
                self.check_decoder()
            }
            _ => {
                self.refuse_key("channels", self.model.channels.is_some())?;
                if model.hidden.is_none() {
                    return refuse(
                        "model.latent_dim",
                        "stands alone; an MLP decoder also needs `model.hidden`, as in [64, 64], or [] for a linear one",
                    );
                }
                check_layers("model.hidden", model.hidden.as_deref())?;
                self.check_decoder()
            }
        }
    }

    /// Checks that the size of an observation is given exactly once: by the data, by the model or by a key.
    fn check_observed_dim(&self) -> Result<(), SpecConflict> {
        let model = &self.model;
        let (kind, name) = (model.kind, &self.data.name);
        if kind.is_scalar() && model.latent_dim.get() != 1 {
            return refuse(
                "model.latent_dim",
                format!("is not 1, which it is for `model.kind = \"{kind}\"`; set it to 1"),
            );
        }
        match &model.observed_dim {
            Some(_) if kind.is_scalar() => refuse(
                "model.observed_dim",
                format!(
                    "does not apply to `model.kind = \"{kind}\"`, which has one of its own; remove it"
                ),
            ),
            Some(_) if name != SYNTHETIC => refuse(
                "model.observed_dim",
                format!(
                    "does not apply to `data.name = \"{name}\"`, which has a size of its own; remove it"
                ),
            ),
            None if name == SYNTHETIC && !kind.is_scalar() => refuse(
                "model.latent_dim",
                "stands alone; synthetic data also needs `model.observed_dim`",
            ),
            _ => Ok(()),
        }
    }

    fn refuse_key(&self, key: &str, is_written: bool) -> Result<(), SpecConflict> {
        if !is_written {
            return Ok(());
        }
        refuse(
            &format!("model.{key}"),
            format!(
                "does not apply to `model.kind = \"{}\"`; remove it",
                self.model.kind
            ),
        )
    }

    /// Refuses the keys that only decoders have.
    fn refuse_decoder_keys(&self) -> Result<(), SpecConflict> {
        self.refuse_key("hidden", self.model.hidden.is_some())?;
        self.refuse_key("channels", self.model.channels.is_some())?;
        self.refuse_key("activation", self.model.activation.is_some())?;
        self.refuse_key("likelihood", self.model.likelihood.is_some())?;
        self.refuse_key("decoder", self.model.decoder.is_some())?;
        self.refuse_key("weights", self.model.weights.is_some())?;
        self.refuse_key("training", self.model.training.is_some())
    }

    fn refuse_condition_number(&self) -> Result<(), SpecConflict> {
        self.refuse_key("condition_number", self.model.condition_number.is_some())
    }

    /// A model that is not fitted needs data that are drawn from it.
    fn check_data_is_synthetic(&self) -> Result<(), SpecConflict> {
        if self.data.is_synthetic() {
            return Ok(());
        }
        refuse(
            "data.name",
            format!(
                "does not go with `model.kind = \"{}\"`, which is not fitted to data; use `data.name = \"synthetic\"`",
                self.model.kind
            ),
        )
    }

    /// Checks the keys that decoders of every kind have.
    fn check_decoder(&self) -> Result<(), SpecConflict> {
        self.refuse_condition_number()?;
        self.check_likelihood()?;
        let synthetic = self.data.is_synthetic();
        let is_stored = self.model.weights.is_some();
        if let Some(weights) = &self.model.weights
            && self.seeds.len() > 1
            && !weights.contains("{seed}")
        {
            return refuse(
                "model.weights",
                "is one decoder for several seeds, over which its part of a spread would not show; put `{seed}` into the path, or use one seed",
            );
        }
        match (&self.model.training, synthetic) {
            (Some(_), _) if is_stored => {
                return refuse(
                    "model.training",
                    "does not go with `model.weights`, which is taken as it is; remove one of the two",
                );
            }
            (Some(_), true) => {
                return refuse(
                    "model.training",
                    "does not go with `data.name = \"synthetic\"`, whose model is the truth; remove the section",
                );
            }
            (None, false) if !is_stored => {
                return refuse(
                    "data.name",
                    "is real data, so the decoder must be fitted; add `[model.training]`, or `model.weights`",
                );
            }
            _ => {}
        }
        self.check_decoder_sharing()
    }

    /// Checks a condition number. Loadings can have a given one only if `x` has at least as many dimensions as
    /// `z`.
    fn check_condition_number(&self) -> Result<(), SpecConflict> {
        const KEY: &str = "model.condition_number";
        let model = &self.model;
        let Some(condition_number) = &model.condition_number else {
            return Ok(());
        };
        let value = condition_number.get();
        if value < 1.0 {
            return refuse(
                KEY,
                format!("is {value}; use a number of at least 1, as in 100"),
            );
        }
        let most = max_condition_number(self.precision);
        if value > most {
            return refuse(
                KEY,
                format!(
                    "is {value:e}, and beyond {most:e} the closed forms lose the smallest variance of the posterior to rounding; use at most {most:e}"
                ),
            );
        }
        let latent_dim = model.latent_dim.get();
        if latent_dim == 1 && value > 1.0 {
            return refuse(
                KEY,
                "does not go with `model.latent_dim = 1`, where the precision is one number; remove it",
            );
        }
        match &model.observed_dim {
            Some(observed_dim) if observed_dim.get() < latent_dim => refuse(
                KEY,
                format!(
                    "needs `model.observed_dim` to be at least the {latent_dim} of `model.latent_dim`, not {}",
                    observed_dim.get()
                ),
            ),
            _ => Ok(()),
        }
    }

    /// Checks the standard deviation of the noise, if there is one.
    pub(super) fn check_noise_std(&self) -> Result<(), SpecConflict> {
        let Some(std) = self.model.noise_std.map(Positive::get) else {
            return Ok(());
        };
        let is_fitted = self.model.training.is_some() || self.model.weights.is_some();
        let (least, reason) = match self.precision {
            _ if is_fitted => (MIN_NOISE_STD, "since decoders are fitted in 32 bits"),
            FloatPrecision::Double => (
                MIN_NOISE_STD_IN_DOUBLE,
                "since observations have 64 bits, and encoders are fitted in 32",
            ),
            FloatPrecision::Single if std < MIN_NOISE_STD => (
                MIN_NOISE_STD,
                "since observations have 32 bits; with `precision = \"double\"` they have 64",
            ),
            FloatPrecision::Single => (MIN_NOISE_STD, "since observations have 32 bits"),
        };
        if (least..=MAX_NOISE_STD).contains(&std) {
            return Ok(());
        }
        refuse(
            "model.noise_std",
            format!("is {std:e}; use {least:e} to {MAX_NOISE_STD:e}, {reason}"),
        )
    }

    /// Checks that the noise is not too small beside random loadings, which have singular values up to about
    /// `(√X + √D) / √D`.
    fn check_noise_beside_loadings(&self) -> Result<(), SpecConflict> {
        let model = &self.model;
        let (Some(std), Some(observed_dim), None) =
            (model.noise_std, model.observed_dim, model.condition_number)
        else {
            return Ok(());
        };
        let [latent, observed] = [model.latent_dim, observed_dim].map(|dim| f64::from(dim.get()));
        // With fewer observed than latent dimensions, some directions of z are left to the prior, so that the
        // posterior precision is as ill-conditioned as the covariance of x.
        let most = if observed < latent {
            max_condition_number(self.precision)
        } else {
            MAX_EVIDENCE_CONDITION_NUMBER
        };
        let largest = (observed.sqrt() + latent.sqrt()) / latent.sqrt();
        let least = largest / most.sqrt();
        // The message has two digits of the bound, which may be rounded down.
        if std.get() >= 0.95 * least {
            return Ok(());
        }
        refuse(
            "model.noise_std",
            format!(
                "is {:e}, so small beside the loadings of {observed} observed and {latent} latent dimensions that rounding spoils the closed forms; use at least {least:.1e}",
                std.get()
            ),
        )
    }

    fn check_decoder_sharing(&self) -> Result<(), SpecConflict> {
        let Some(training) = &self.model.training else {
            return match &self.model.decoder {
                Some(_) => refuse(
                    "model.decoder",
                    "says how a decoder is fitted, and this one is not; remove it",
                ),
                None => Ok(()),
            };
        };
        check_learning_rate("model.training.learning_rate", training.learning_rate)?;
        check_layers(
            "model.training.encoder_hidden",
            training.encoder_hidden.as_deref(),
        )?;
        let sharing = self.model.decoder_sharing();
        match (&training.encoder_hidden, training.encoder_inputs, sharing) {
            (None, _, DecoderSharing::Shared) => refuse(
                "model.training",
                "needs `encoder_hidden`: the encoder that the shared decoder is fitted with",
            ),
            (Some(_), _, DecoderSharing::Joint) => refuse(
                "model.training.encoder_hidden",
                "does not go with `model.decoder = \"joint\"`, where each of `encoders` is fitted with a decoder of its own; remove it",
            ),
            (_, Some(_), DecoderSharing::Joint) => refuse(
                "model.training.encoder_inputs",
                "does not go with `model.decoder = \"joint\"`, where each of `encoders` is fitted with a decoder of its own; use `inputs` there",
            ),
            _ => Ok(()),
        }
    }
}

/// The most hidden layers of a network. Far fewer cannot be trained without normalization, which ours lack.
const MAX_HIDDEN_LAYERS: usize = 100;

/// Checks the number of layers whose widths are the value of `key`.
fn check_layers(key: &str, hidden: Option<&[Count]>) -> Result<(), SpecConflict> {
    match hidden.map_or(0, <[Count]>::len) {
        n if n > MAX_HIDDEN_LAYERS => refuse(
            key,
            format!("has {n} layers; use at most {MAX_HIDDEN_LAYERS}"),
        ),
        _ => Ok(()),
    }
}
