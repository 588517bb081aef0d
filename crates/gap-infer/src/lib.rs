//! Variational families, and the three ways to find `q`: amortized, free-form, refined.
//!
//! A family maps `λ: [B, Q]` to one `q(z)` for each datapoint; the methods differ only in where `λ` comes from.
//! A new family is one file in [`family`], a new step rule one file in [`ascent`], and a new objective of
//! encoders' fits one in [`train::objective`].

pub mod amortized;
pub mod ascent;
pub mod certificate;
pub mod elbo_gradient;
pub mod encoder;
pub mod family;
pub mod free_form;
mod held_out;
pub mod inference;
pub mod refined;
pub mod remaining;
pub mod trace;
pub mod train;

pub use amortized::AmortizedInference;
pub use encoder::{Encode, Encoder, ModelDuringFit, Standardization};
pub use family::{
    AffineFlow, AuxiliaryFlow, ClosedFormGaussianFamily, DiagonalGaussian, Draws,
    EvaluableDensityFamily, FullGaussian, GaussianMixture, PlanarFlow, RowTransform,
    VariationalFamily, VariationalParams,
};
pub use free_form::FreeFormInference;
pub use inference::{FitCost, FittedBatch, InferError, Inference, StopReason};
pub use refined::RefinedInference;
pub use remaining::Remaining;
