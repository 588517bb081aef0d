//! What an ascent knows of its family.

use crate::family::{FullGaussian, VariationalFamily};

/// What is known of the family.
#[derive(Clone, Copy)]
pub enum FamilyKind<'a> {
    /// A diagonal Gaussian: Newton's method for the mean, and for each `log σ`.
    Diagonal,
    /// A full Gaussian: Newton's method for the mean and the covariance.
    Full(FullGaussian),
    /// Only how its gradient is taken.
    Any(&'a dyn VariationalFamily),
}
