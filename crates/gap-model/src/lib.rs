//! Frozen latent-variable models `p(x, z)`, known through two functions: the log joint and its score.
//!
//! A new model is one file with one `impl` of [`LatentVariableModel`]; a new likelihood is one file in
//! [`likelihood`]; a new kind of network is one file beside [`convolution`]. [`conditioned`] and
//! [`JointRowEvaluator`] are for many evaluations at the same observations, [`learning`] is for fitting. Only
//! this crate decides whether fused kernels or libtorch do a computation ([`Backend`]). It has no variational
//! families, and encoders only as networks.

pub mod activation;
pub mod backend;
pub mod conditioned;
mod conv_geometry;
pub mod convolution;
pub mod decoder;
mod decoder_on_tensors;
mod float_number;
pub mod hierarchical;
pub mod joint_rows;
mod kernels;
mod layer;
pub mod learning;
pub mod likelihood;
pub mod linear_gaussian;
pub mod mlp;
pub mod model;
mod model_error;
pub mod network;
mod network_blocks;
mod standard_normal;
pub mod time_series;

pub use activation::Activation;
pub use backend::Backend;
pub use conditioned::{ConditionedModel, JointAndScore};
pub use convolution::ConvShape;
pub use decoder::{Decoder, MlpDecoder};
pub use float_number::FloatNumber;
pub use gap_kernel::{Precision, exponentials};
pub use hierarchical::NonlinearHierarchical;
pub use joint_rows::{JointOutputs, JointRowEvaluator, LikelihoodRowEvaluator};
pub use kernels::PackedEncoder;
pub use learning::{DecoderLearner, LatentDraws, NetworkLearner, OptimizerState};
pub use likelihood::Likelihood;
pub use linear_gaussian::LinearGaussian;
pub use mlp::Mlp;
pub use model::{ExactPosterior, LatentVariableModel};
pub use model_error::ModelError;
pub use network::Network;
pub use time_series::{SeriesCoefficients, TimeSeries};
