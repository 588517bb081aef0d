//! Variational families: maps from parameters `λ` to draws, and from scores at the draws to gradients in `λ`.
//!
//! A family that computes on plain slices implements [`PerDatapointFamily`], and thereby [`VariationalFamily`].
//! Only the diagonal Gaussian implements the latter itself, with tensors.

mod affine_flow;
mod auxiliary_flow;
mod columns;
mod couplings;
mod diagonal_gaussian;
mod full_gaussian;
mod gaussian_mixture;
mod gaussians;
mod number;
mod per_datapoint;
mod perceptron;
mod planar_flow;
mod variational;

pub use affine_flow::AffineFlow;
pub use auxiliary_flow::AuxiliaryFlow;
pub use columns::FeatureColumns;
pub use gaussian_mixture::GaussianMixture;
pub use gaussians::{DiagonalGaussian, FullGaussian};
pub use number::FloatNumber;
pub use per_datapoint::PerDatapointFamily;
pub use planar_flow::PlanarFlow;
pub use variational::{
    ClosedFormGaussianFamily, Draws, EvaluableDensityFamily, RowTransform, VariationalFamily,
    VariationalParams,
};

use gap_spec::Family;

/// Creates the family over `latent_dim` dimensions, with its default numbers of layers, units and components.
pub fn build_family(family: Family, latent_dim: i64) -> Box<dyn VariationalFamily> {
    match family {
        Family::DiagonalGaussian => Box::new(DiagonalGaussian::new(latent_dim)),
        Family::FullGaussian => Box::new(FullGaussian::new(latent_dim)),
        Family::AffineFlow => Box::new(AffineFlow::new(latent_dim)),
        Family::AuxiliaryFlow => Box::new(AuxiliaryFlow::new(latent_dim)),
        Family::PlanarFlow => Box::new(PlanarFlow::new(latent_dim)),
        Family::GaussianMixture => Box::new(GaussianMixture::new(latent_dim)),
    }
}
