//! `[model]`: what `p(x, z)` is, and how a decoder is fitted.

use crate::activation::Activation;
use crate::likelihood::LikelihoodKind;
use crate::named_enum;
use crate::number::{Count, Positive};
use crate::training::ModelTrainingSpec;
use serde::{Deserialize, Serialize};

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

impl ModelKind {
    /// Whether it is a network from `z` to the parameters of a likelihood, fitted to data or drawn.
    pub const fn is_decoder(self) -> bool {
        matches!(self, Self::MlpDecoder | Self::ConvDecoder)
    }

    /// How many observations an encoder may see: more than one where datapoints have an order.
    pub const fn max_encoder_context(self) -> u32 {
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
    pub latent_dim: Count,
    /// Dimensions of `x`, for synthetic data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_dim: Option<Count>,
    /// Widths of the hidden layers of a decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Vec<Count>>,
    /// Channels behind the first and the second convolution, from the image, of a `conv-decoder`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<[Count; 2]>,
    /// Its nonlinearity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Its likelihood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<LikelihoodKind>,
    /// Shared or joint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<DecoderSharing>,
    /// Standard deviation of the noise of a linear-Gaussian model, or of a decoder's `gaussian`
    /// likelihood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise_std: Option<Positive>,
    /// The ratio of the largest to the smallest eigenvalue of the posterior precision of a
    /// linear-Gaussian model. Default: what random loadings give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition_number: Option<Positive>,
    /// How the decoder is fitted; absent for synthetic data, whose model is the truth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<ModelTrainingSpec>,
}

impl ModelSpec {
    /// Whether encoders are compared on one frozen decoder.
    pub fn decoder_sharing(&self) -> DecoderSharing {
        self.decoder.unwrap_or(DecoderSharing::Shared)
    }

    /// The likelihood of a decoder.
    pub fn likelihood(&self) -> LikelihoodKind {
        self.likelihood.unwrap_or(LikelihoodKind::Bernoulli)
    }

    /// The nonlinearity of a decoder.
    pub fn activation(&self) -> Activation {
        self.activation.unwrap_or(Activation::Tanh)
    }
}
