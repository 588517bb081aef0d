//! `[model]`: the model `p(x, z)`, and how a decoder is fitted.

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
        /// `x = W z + b + noise`; its posterior and evidence have closed forms, to check estimates against.
        LinearGaussian = "linear-gaussian",
        /// A time series in which `z_n` depends on `x_n` and `x_{n−1}` (Margossian and Blei 2023, "saw").
        TimeSeries = "time-series",
        /// `x = 1.155 z + noise` with scalar `x` and `z` (Margossian and Blei 2023).
        HierarchicalLinear = "hierarchical-linear",
        /// Scalar `x` and `z`, where the mean and the variance of `x` are not linear in `z` (Margossian and
        /// Blei 2023).
        HierarchicalNonlinear = "hierarchical-nonlinear",
    }
}

impl ModelKind {
    /// Whether the model is a decoder: a network from `z` to the parameters of a likelihood, either fitted to
    /// data or with random weights.
    pub const fn is_decoder(self) -> bool {
        matches!(self, Self::MlpDecoder | Self::ConvDecoder)
    }

    /// The most observations that an encoder may see: more than one only if datapoints have an order.
    pub const fn max_encoder_context(self) -> u32 {
        match self {
            Self::TimeSeries => 2,
            _ => 1,
        }
    }

    /// Whether the model has scalar `x` and `z` and fixed, known coefficients.
    pub const fn is_scalar(self) -> bool {
        matches!(
            self,
            Self::TimeSeries | Self::HierarchicalLinear | Self::HierarchicalNonlinear
        )
    }
}

/// The largest condition number of a linear-Gaussian posterior's precision with which the closed forms of a model of
/// 32-bit numbers are right.
///
/// They are computed in 64 bits from loadings of 32. At 1e8 the eigenvalues of the posterior covariance are
/// right to 0.1% in up to 256 dimensions; at 1e9 to 10%, and at 1e10 some come out negative.
pub const MAX_CONDITION_NUMBER: f64 = 1e8;

/// The same for a model of 64-bit numbers, where only the closed forms are rounded, to a relative error of about 1e-16
/// times the condition number in the largest variance.
pub const MAX_CONDITION_NUMBER_IN_DOUBLE: f64 = 1e12;

named_enum! {
    /// Whether encoders are compared on one frozen decoder.
    DecoderSharing {
        /// One decoder for each seed, fitted once and frozen, so that encoders are compared on the same
        /// posteriors.
        Shared = "shared",
        /// A decoder for each encoder, fitted jointly with it, as in a VAE.
        Joint = "joint",
    }
}

/// `[model]`: the keys that define the model.
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
    /// Channels of the two hidden feature maps of a `conv-decoder`, the one nearer to the image first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<[Count; 2]>,
    /// The decoder's nonlinearity. Default: `tanh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// The decoder's likelihood. Default: `bernoulli`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<LikelihoodKind>,
    /// Whether encoders share one decoder. Default: `shared`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<DecoderSharing>,
    /// Standard deviation of the noise of a linear-Gaussian model, or of a decoder's `gaussian`
    /// likelihood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise_std: Option<Positive>,
    /// The ratio of the largest to the smallest eigenvalue of the posterior precision of a linear-Gaussian
    /// model, at most [`MAX_CONDITION_NUMBER`] or [`MAX_CONDITION_NUMBER_IN_DOUBLE`]. Default: not fixed; it follows
    /// from the loadings `W`, which are random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition_number: Option<Positive>,
    /// A file of safetensors with the weights of a decoder that is taken as it is, in place of `training`. Its tensors
    /// are `decoder.N.weight`, `[out, in]`, and `decoder.N.bias`, `[out]`, of each layer N = 0, 1, …. The path is
    /// relative to the folder of the spec; `{seed}` in it stands for the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// How the decoder is fitted; absent for synthetic data, which are drawn from the model itself, and for a decoder
    /// with `weights`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<ModelTrainingSpec>,
}

impl ModelSpec {
    /// Whether encoders are compared on one frozen decoder, with the default filled in.
    pub fn decoder_sharing(&self) -> DecoderSharing {
        self.decoder.unwrap_or(DecoderSharing::Shared)
    }

    /// Whether each seed has one model, and not one for each encoder.
    pub fn has_shared_decoder(&self) -> bool {
        self.training.is_none() || self.decoder_sharing() == DecoderSharing::Shared
    }

    /// The likelihood of a decoder, with the default filled in.
    pub fn likelihood(&self) -> LikelihoodKind {
        self.likelihood.unwrap_or(LikelihoodKind::Bernoulli)
    }

    /// The nonlinearity of a decoder, with the default filled in.
    pub fn activation(&self) -> Activation {
        self.activation.unwrap_or(Activation::Tanh)
    }
}
