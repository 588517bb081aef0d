//! The types of the two families that ascents and fits treat specially. What they compute is in the files
//! `diagonal_gaussian.rs` and `full_gaussian.rs`.

/// Gaussians with diagonal covariance. `Q = 2 D`.
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

/// Gaussians with any covariance. `Q = D + D (D + 1) / 2`.
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
