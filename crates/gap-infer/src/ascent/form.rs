//! The kinds of families that ascents treat differently.

use crate::family::{FullGaussian, VariationalFamily};

/// How an ascent treats its family.
#[derive(Clone, Copy)]
pub enum FamilyKind<'a> {
    /// As a diagonal Gaussian: Newton's method can be used for the mean and for each `log σ`.
    Diagonal,
    /// As a full Gaussian: Newton's method can be used for the mean and the covariance.
    Full(FullGaussian),
    /// As any family: only its gradient in `λ` is available, no curvature.
    Any(&'a dyn VariationalFamily),
}
