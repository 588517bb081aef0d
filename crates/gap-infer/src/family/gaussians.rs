//! The two families that ascents and fits know by their type. What they compute is in the files of their
//! names.

/// Independent normals, one for each latent dimension. `Q = 2 D`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiagonalGaussian {
    pub(super) latent_dim: i64,
}

impl DiagonalGaussian {
    /// The family over `latent_dim` dimensions.
    pub const fn new(latent_dim: i64) -> Self {
        Self { latent_dim }
    }
}

/// Normals with any covariance. `Q = D + D (D + 1) / 2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FullGaussian {
    pub(super) dim: usize,
}

impl FullGaussian {
    /// The family over `latent_dim` dimensions.
    pub const fn new(latent_dim: i64) -> Self {
        Self {
            dim: latent_dim as usize,
        }
    }
}
