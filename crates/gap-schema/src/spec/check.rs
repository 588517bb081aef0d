//! Refuses specs that cannot run, naming the key and the cure.

use super::{
    DecoderSharing, EncoderSpec, ExperimentSpec, Likelihood, ModelKind, RefinementRule, SYNTHETIC,
    Start, inference::DEFAULT_ADAM_RATE,
};
use crate::record::EncoderKind;
use std::ops::{Deref, Range};
use toml::Spanned;

/// A step takes its draws from a Sobol sequence of 2¹⁶ points, which must last for a few steps.
const MOST_DRAWS_PER_STEP: u32 = 8192;

/// The bound on a remaining distance starts at 2e-4 nats, for the accuracy of `f32`.
const LEAST_TOLERANCE_NATS: f64 = 5e-4;

/// A spec that contradicts itself: what is wrong, which key says so, and where that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecConflict {
    /// The key, as in `model.hidden`.
    pub key: String,
    /// What is wrong, and the cure.
    pub message: String,
    /// Its bytes in the file.
    pub span: Range<usize>,
}

/// A spec that can run.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedSpec(ExperimentSpec);

impl Deref for CheckedSpec {
    type Target = ExperimentSpec;
    fn deref(&self) -> &ExperimentSpec {
        &self.0
    }
}

impl ExperimentSpec {
    /// Refuses what cannot run, naming the key and the cure.
    ///
    /// # Errors
    ///
    /// The first [`SpecConflict`] in the order of the file's sections.
    pub fn check(mut self) -> Result<CheckedSpec, SpecConflict> {
        self.check_top()?;
        self.check_data()?;
        self.check_model()?;
        self.check_encoders()?;
        self.check_inference()?;
        self.fill_in();
        Ok(CheckedSpec(self))
    }

    fn check_top(&self) -> Result<(), SpecConflict> {
        let name = self.name.get_ref();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return refuse(
                "name",
                &self.name,
                "must be letters, digits, `-`, `_` and `.`: it names a folder",
            );
        }
        let seeds = self.seeds.get_ref();
        if seeds.is_empty() {
            return refuse(
                "seeds",
                &self.seeds,
                "is empty; give at least one seed, as in [0]",
            );
        }
        if let Some(seed) = first_repeated(seeds) {
            return refuse(
                "seeds",
                &self.seeds,
                format!("has {seed} twice; each repetition needs a seed of its own"),
            );
        }
        Ok(())
    }

    fn check_data(&self) -> Result<(), SpecConflict> {
        let data = &self.data;
        if data.name.get_ref() != SYNTHETIC {
            return Ok(());
        }
        if let Some(split_seed) = &data.split_seed {
            return refuse(
                "data.split_seed",
                split_seed,
                "does not apply to `data.name = \"synthetic\"`, which is drawn anew for each seed; remove it",
            );
        }
        let Some(train_points) = &data.train_points else {
            return refuse(
                "data.name",
                &data.name,
                "is `synthetic`, which needs `data.train_points`: how many points to draw for fitting",
            );
        };
        let (fitted, measured) = (
            train_points.get_ref().get(),
            data.measure_train.get_ref().get(),
        );
        if measured > fitted {
            return refuse(
                "data.measure_train",
                &data.measure_train,
                format!("is {measured}, more than the {fitted} points of `data.train_points`"),
            );
        }
        Ok(())
    }

    fn check_model(&self) -> Result<(), SpecConflict> {
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
                if !synthetic {
                    return refuse(
                        "data.name",
                        &self.data.name,
                        "does not go with `model.kind = \"linear-gaussian\"`, which is not fitted to data; use `data.name = \"synthetic\"`",
                    );
                }
            }
            ModelKind::MlpDecoder => {
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

    fn check_encoders(&self) -> Result<(), SpecConflict> {
        let encoders = self.encoders.get_ref();
        if encoders.is_empty() {
            return refuse(
                "encoders",
                &self.encoders,
                "is empty; add at least one [[encoders]] with `kind = \"linear\"` or `kind = \"mlp\"`",
            );
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

    fn check_inference(&self) -> Result<(), SpecConflict> {
        if let Some(starts) = &self.free_form.starts {
            self.check_starts(starts)?;
        }
        let tolerance = &self.free_form.tolerance_nats;
        if tolerance.get_ref().get() < LEAST_TOLERANCE_NATS {
            return refuse(
                "free_form.tolerance_nats",
                tolerance,
                format!(
                    "is {}, below what 32-bit scores can certify; use {LEAST_TOLERANCE_NATS} or more",
                    tolerance.get_ref().get()
                ),
            );
        }
        let steps: Vec<u32> = self
            .refinement
            .steps
            .get_ref()
            .iter()
            .map(|n| n.get())
            .collect();
        if steps.is_empty() || !steps.is_sorted_by(|a, b| a < b) {
            return refuse(
                "refinement.steps",
                &self.refinement.steps,
                "must be rising numbers of steps, as in [1, 5, 20]",
            );
        }
        if self.refinement.n_samples.get_ref().get() > MOST_DRAWS_PER_STEP {
            return refuse(
                "refinement.n_samples",
                &self.refinement.n_samples,
                format!("is above {MOST_DRAWS_PER_STEP}, where the Sobol points of a step end"),
            );
        }
        match (self.refinement.rule, &self.refinement.learning_rate) {
            (RefinementRule::AveragedNewton, Some(rate)) => refuse(
                "refinement.learning_rate",
                rate,
                "does not go with `refinement.rule = \"averaged-newton\"`, whose steps have their own size; remove it, or use `refinement.rule = \"adam\"`",
            ),
            _ => Ok(()),
        }
    }

    fn check_starts(&self, starts: &Spanned<Vec<Start>>) -> Result<(), SpecConflict> {
        if starts.get_ref().is_empty() {
            return refuse(
                "free_form.starts",
                starts,
                "is empty; use [\"prior\"], [\"encoder\"] or both",
            );
        }
        if let Some(start) = first_repeated(starts.get_ref()) {
            return refuse("free_form.starts", starts, format!("has `{start}` twice"));
        }
        if starts.get_ref().contains(&Start::Encoder) && self.model.training.is_none() {
            return refuse(
                "free_form.starts",
                starts,
                "has `encoder`, but this model is not fitted, so no encoder comes with it; use [\"prior\"]",
            );
        }
        Ok(())
    }

    /// Writes down the defaults that depend on other keys: a run's own `spec.toml` then says them, and
    /// a stage is the same whether they were written or not.
    fn fill_in(&mut self) {
        if self.free_form.starts.is_none() {
            let starts = self.free_form_starts().to_vec();
            self.free_form.starts = Some(Spanned::new(0..0, starts));
        }
        let refinement = &mut self.refinement;
        if refinement.rule == RefinementRule::Adam && refinement.learning_rate.is_none() {
            let rate = Spanned::new(0..0, DEFAULT_ADAM_RATE);
            refinement.learning_rate = Some(rate);
        }
    }
}

fn refuse<T>(key: &str, at: &Spanned<T>, message: impl Into<String>) -> Result<(), SpecConflict> {
    Err(SpecConflict {
        key: key.to_owned(),
        message: message.into(),
        span: at.span(),
    })
}

fn first_repeated<T: PartialEq>(items: &[T]) -> Option<&T> {
    items
        .iter()
        .enumerate()
        .find(|(i, item)| items[..*i].contains(item))
        .map(|(_, item)| item)
}
