//! `[model]`: what `p(x, z)` is, and how a decoder is fitted.

use super::precision::{Precision, mixed};
use super::{Count, Positive, TrainingSpec};
use crate::record::named_enum;
use serde::{Deserialize, Serialize};
use toml::Spanned;

named_enum! {
    /// The model `p(x, z)`.
    ModelKind {
        /// A multi-layer perceptron from `z` to the parameters of a likelihood.
        MlpDecoder = "mlp-decoder",
        /// Two transposed convolutions from `z` to the parameters of a likelihood of square images.
        ConvDecoder = "conv-decoder",
        /// `x = W z + b + noise`, the oracle.
        LinearGaussian = "linear-gaussian",
        /// A series whose `z_n` depends on `x_n` and `x_{n−1}` (Margossian and Blei 2023, "saw").
        TimeSeries = "time-series",
        /// One number for each datapoint, `x = 1.155 z + noise` (Margossian and Blei 2023).
        HierarchicalLinear = "hierarchical-linear",
        /// The same with a mean and a variance that are not linear in `z` (Margossian and Blei 2023).
        HierarchicalNonlinear = "hierarchical-nonlinear",
    }
}

named_enum! {
    /// `p(x | z)` given the decoder's output.
    Likelihood {
        /// Independent binary pixels, from logits.
        Bernoulli = "bernoulli",
        /// Independent normal pixels around the decoder's output, with one standard deviation for all
        /// of them: `model.noise_std`.
        Gaussian = "gaussian",
        /// The same with a standard deviation for each pixel, learned with the decoder.
        LearnedGaussian = "learned-gaussian",
        /// Grey levels, each the probability that a logistic variable rounds to it, with a scale for each
        /// pixel, learned with the decoder (Salimans et al. 2017).
        DiscretizedLogistic = "discretized-logistic",
    }
}

impl Likelihood {
    /// Whether something of it is learned with the decoder.
    pub const fn is_learned(self) -> bool {
        matches!(self, Self::LearnedGaussian | Self::DiscretizedLogistic)
    }
}

impl ModelKind {
    /// Whether it is a network from `z` to the parameters of a likelihood, fitted to data or drawn.
    pub const fn is_decoder(self) -> bool {
        matches!(self, Self::MlpDecoder | Self::ConvDecoder)
    }

    /// How many observations an encoder may see: more than one where datapoints have an order.
    pub const fn most_context(self) -> u32 {
        match self {
            Self::TimeSeries => 2,
            _ => 1,
        }
    }

    /// Whether it is one model with known numbers, of one latent and one observed number.
    pub const fn is_scalar(self) -> bool {
        matches!(
            self,
            Self::TimeSeries | Self::HierarchicalLinear | Self::HierarchicalNonlinear
        )
    }
}

named_enum! {
    /// The nonlinearity between layers.
    Activation {
        /// Hyperbolic tangent.
        Tanh = "tanh",
        /// Rectifier.
        Relu = "relu",
        /// Exponential linear unit.
        Elu = "elu",
    }
}

named_enum! {
    /// Whether encoders are compared on one frozen decoder.
    DecoderSharing {
        /// One decoder for each seed, fitted once and frozen: the capacity axis is clean.
        Shared = "shared",
        /// A decoder for each encoder, fitted jointly with it, as a VAE is.
        Joint = "joint",
    }
}

/// `[model]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Which model.
    pub kind: ModelKind,
    /// Dimensions of `z`.
    pub latent_dim: Spanned<Count>,
    /// Dimensions of `x`, for synthetic data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_dim: Option<Spanned<Count>>,
    /// Widths of the hidden layers of a decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Spanned<Vec<Count>>>,
    /// Channels behind the first and the second convolution, from the image, of a `conv-decoder`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Spanned<[Count; 2]>>,
    /// Its nonlinearity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Spanned<Activation>>,
    /// Its likelihood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<Spanned<Likelihood>>,
    /// Shared or joint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<Spanned<DecoderSharing>>,
    /// Standard deviation of the noise of a linear-Gaussian model, or of a decoder's `gaussian`
    /// likelihood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise_std: Option<Spanned<Positive>>,
    /// The ratio of the largest to the smallest eigenvalue of the posterior precision of a
    /// linear-Gaussian model. Default: what random loadings give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition_number: Option<Spanned<Positive>>,
    /// How the decoder is fitted; absent for synthetic data, whose model is the truth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Spanned<ModelTrainingSpec>>,
}

/// `[model.training]`: how the decoder is fitted, as a VAE with an encoder of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelTrainingSpec {
    /// Hidden layers of the encoder that a shared decoder is fitted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_hidden: Option<Spanned<Vec<Count>>>,
    /// Gradient steps.
    pub steps: Count,
    /// Datapoints in a step.
    pub batch_size: Count,
    /// Adam's learning rate at the start; it falls to zero along a half cosine.
    pub learning_rate: Positive,
    /// Draws of `z` per datapoint and step.
    pub n_samples: Count,
    /// How exact the products of gradients are.
    #[serde(default = "mixed")]
    pub precision: Precision,
}

impl ModelTrainingSpec {
    /// The optimiser's settings.
    pub const fn optimizer(&self) -> TrainingSpec {
        TrainingSpec {
            steps: self.steps,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            n_samples: self.n_samples,
            precision: self.precision,
        }
    }
}
