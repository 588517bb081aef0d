//! Latent-variable models `p(x, z)`, frozen, known through two functions: the joint and its score.
//!
//! A new model is one file with one `impl` of [`LatentVariableModel`]; a new likelihood one variant
//! in [`likelihood`]. [`conditioned`] serves those who ask many times at the same observations.
//! Nothing here knows a variational family or an encoder.

pub mod conditioned;
mod conditioned_decoder;
pub mod decoder;
pub mod fused;
pub mod joint_rows;
pub mod likelihood;
pub mod linear_gaussian;
pub mod mlp;
mod mlp_blocks;
pub mod model;

pub use conditioned::{ConditionedModel, JointAndScore};
pub use decoder::MlpDecoder;
pub use fused::{FrozenForward, FusedLearner};
pub use joint_rows::{JointRows, WantedOfRows};
pub use likelihood::Likelihood;
pub use linear_gaussian::LinearGaussian;
pub use mlp::{Activation, Mlp};
pub use model::{ExactPosterior, LatentVariableModel, ModelError};
