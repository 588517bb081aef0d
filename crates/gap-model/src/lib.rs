//! Latent-variable models `p(x, z)`, frozen, known through two functions: the joint and its score.
//!
//! A new model is one file with one `impl` of [`LatentVariableModel`]; a new likelihood one file in
//! [`likelihood`]; a new kind of network one file beside [`convolution`]. [`conditioned`] serves those
//! who ask many times at the same observations. Nothing here knows a variational family or an encoder.

pub mod activation;
pub mod conditioned;
mod conditioned_decoder;
pub mod convolution;
pub mod decoder;
pub mod fused;
pub mod hierarchical;
pub mod joint_rows;
mod layer;
pub mod likelihood;
pub mod linear_gaussian;
pub mod mlp;
pub mod model;
pub mod network;
mod network_blocks;
pub mod time_series;

pub use activation::Activation;
pub use conditioned::{ConditionedModel, JointAndScore};
pub use convolution::ConvShape;
pub use decoder::{Decoder, MlpDecoder};
pub use fused::{FrozenForward, FusedLearner};
pub use hierarchical::NonlinearHierarchical;
pub use joint_rows::{JointRows, WantedOfRows};
pub use likelihood::Likelihood;
pub use linear_gaussian::LinearGaussian;
pub use mlp::Mlp;
pub use model::{ExactPosterior, LatentVariableModel, ModelError};
pub use network::Network;
pub use time_series::{SeriesCoefficients, TimeSeries};
