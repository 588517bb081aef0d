//! The variational families, with a table of their fixed properties.

use crate::named_enum;
use serde::{Deserialize, Serialize};

named_enum! {
    /// The variational family.
    Family {
        /// `N(μ, diag σ²)`.
        DiagonalGaussian = "diagonal-gaussian",
        /// `N(μ, L Lᵀ)`.
        FullGaussian = "full-gaussian",
        /// Affine coupling layers, followed by the map of a full Gaussian (Dinh et al. 2017).
        AffineFlow = "affine-flow",
        /// Coupling layers on `z` and auxiliary variables `v`, with a learned model of `v` given `z` (Cremer et
        /// al. 2018).
        AuxiliaryFlow = "auxiliary-flow",
        /// Planar layers (Rezende and Mohamed 2015); `log q(z)` is known only at draws of `q`.
        PlanarFlow = "planar-flow",
        /// A mixture of a few Gaussians of equal weight.
        GaussianMixture = "gaussian-mixture",
    }
}

/// The fixed properties of a family.
struct FamilyFacts {
    family: Family,
    /// `Q`, the number of variational parameters `λ` of one datapoint, as a function of the latent dimension
    /// `D`.
    params: fn(usize) -> usize,
    /// `N`, the number of standard normals that one draw is computed from, as a function of `D`.
    normals: fn(usize) -> usize,
    /// Whether every `q` is a Gaussian.
    is_gaussian: bool,
    /// Whether `log q(z)` can be computed at any `z`, not only at draws of `q`.
    has_density: bool,
    /// The smaller families that it contains: each of their `q`s is also one of this family.
    contains: &'static [Family],
}

const FAMILIES: [FamilyFacts; 6] = [
    FamilyFacts {
        family: Family::DiagonalGaussian,
        params: |dim| 2 * dim,
        normals: |dim| dim,
        is_gaussian: true,
        has_density: true,
        contains: &[],
    },
    FamilyFacts {
        family: Family::FullGaussian,
        params: n_full_gaussian_params,
        normals: |dim| dim,
        is_gaussian: true,
        has_density: true,
        contains: &[Family::DiagonalGaussian],
    },
    FamilyFacts {
        family: Family::AffineFlow,
        params: |dim| n_full_gaussian_params(dim) + n_coupling_params(dim),
        normals: |dim| dim,
        is_gaussian: false,
        has_density: true,
        contains: &GAUSSIAN_FAMILIES,
    },
    FamilyFacts {
        family: Family::AuxiliaryFlow,
        params: |dim| {
            let reverse = n_network_params(dim, 2 * dim);
            n_full_gaussian_params(dim) + n_coupling_params(2 * dim) + reverse
        },
        normals: |dim| 2 * dim,
        is_gaussian: false,
        has_density: false,
        contains: &GAUSSIAN_FAMILIES,
    },
    FamilyFacts {
        family: Family::PlanarFlow,
        params: |dim| n_full_gaussian_params(dim) + PLANAR_LAYERS * (2 * dim + 1),
        normals: |dim| dim,
        is_gaussian: false,
        has_density: false,
        contains: &GAUSSIAN_FAMILIES,
    },
    FamilyFacts {
        family: Family::GaussianMixture,
        params: |dim| n_full_gaussian_params(dim) + MIXTURE_COMPONENTS * 2 * dim,
        normals: |dim| dim + 1,
        is_gaussian: false,
        has_density: true,
        contains: &GAUSSIAN_FAMILIES,
    },
];

const GAUSSIAN_FAMILIES: [Family; 2] = [Family::DiagonalGaussian, Family::FullGaussian];

/// The number of coupling layers of the affine flow and of the auxiliary flow.
pub const COUPLING_LAYERS: usize = 4;
/// The number of hidden units of each network in these two flows.
pub const COUPLING_HIDDEN_UNITS: usize = 12;
/// The number of layers of the planar flow.
pub const PLANAR_LAYERS: usize = 8;
/// The number of components of the Gaussian mixture.
pub const MIXTURE_COMPONENTS: usize = 4;

/// The number of parameters of a full Gaussian: `μ`, `log diag L`, and the entries of `L` below the diagonal.
const fn n_full_gaussian_params(dim: usize) -> usize {
    2 * dim + dim * (dim - 1) / 2
}

/// The number of weights and biases of a network with one hidden layer of [`COUPLING_HIDDEN_UNITS`] units.
const fn n_network_params(n_inputs: usize, n_outputs: usize) -> usize {
    COUPLING_HIDDEN_UNITS * (n_inputs + 1) + n_outputs * (COUPLING_HIDDEN_UNITS + 1)
}

/// The number of parameters of [`COUPLING_LAYERS`] layers over `width` coordinates. Each layer leaves one half
/// of the coordinates unchanged, and a network computes from them a scale and a shift for each of the others.
/// Layers alternate between the smaller and the larger half.
const fn n_coupling_params(width: usize) -> usize {
    let (smaller, larger) = (width / 2, width - width / 2);
    let pair = n_network_params(smaller, 2 * larger) + n_network_params(larger, 2 * smaller);
    COUPLING_LAYERS / 2 * pair
}

// Checks at compile time that each row is at the index of its variant in the enum.
const _: () = {
    assert!(FAMILIES.len() == Family::ALL.len());
    let mut row = 0;
    while row < FAMILIES.len() {
        assert!(FAMILIES[row].family as usize == row);
        row += 1;
    }
};

impl Family {
    const fn facts(self) -> &'static FamilyFacts {
        &FAMILIES[self as usize]
    }

    /// `Q`: the number of variational parameters `λ` of one datapoint with `latent_dim` latent dimensions.
    pub fn param_dim(self, latent_dim: usize) -> usize {
        (self.facts().params)(latent_dim)
    }

    /// `N`: the number of standard normals that one draw over `latent_dim` dimensions is computed from.
    pub fn noise_dim(self, latent_dim: usize) -> usize {
        (self.facts().normals)(latent_dim)
    }

    /// Whether `log q(z)` can be computed at any `z`, not only at draws of `q`.
    pub const fn has_density(self) -> bool {
        self.facts().has_density
    }

    /// Whether every `q` is a Gaussian.
    pub const fn is_gaussian(self) -> bool {
        self.facts().is_gaussian
    }

    /// Whether every `q` of `smaller`, another family, is also one of this family. The best ELBO of `smaller`
    /// is then at most this family's.
    pub fn contains(self, smaller: Self) -> bool {
        self.facts().contains.contains(&smaller)
    }
}

/// `[family]`: the variational family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilySpec {
    /// The family.
    pub kind: Family,
}

impl Default for FamilySpec {
    fn default() -> Self {
        Self {
            kind: Family::DiagonalGaussian,
        }
    }
}
