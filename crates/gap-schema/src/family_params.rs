//! How many parameters one `q` of each family has, for tables that are older than their own column of it.

use crate::record::Family;

/// `Q` of a family over `D = latent_dim` dimensions.
// The one place outside of gap-infer that knows these formulas: to be taken from the table of families
// once that has them, and this file removed.
pub(crate) const fn family_params(family: Family, latent_dim: u64) -> u64 {
    let d = latent_dim;
    let full = 2 * d + d * d.saturating_sub(1) / 2;
    match family {
        Family::DiagonalGaussian => 2 * d,
        Family::FullGaussian => full,
        Family::AffineFlow => full + couplings(d),
        Family::AuxiliaryFlow => full + couplings(2 * d) + network(d, 2 * d),
        Family::PlanarFlow => full + 8 * (2 * d + 1),
        Family::GaussianMixture => full + 4 * 2 * d,
    }
}

/// Coupling layers on `width` coordinates, two on each half of them.
const fn couplings(width: u64) -> u64 {
    let (first, second) = (width / 2, width.div_ceil(2));
    2 * (network(first, 2 * second) + network(second, 2 * first))
}

/// A perceptron with one hidden layer of 12 units.
const fn network(n_inputs: u64, n_outputs: u64) -> u64 {
    12 * (n_inputs + 1) + 13 * n_outputs
}
