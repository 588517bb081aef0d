//! `[pictures]`: posteriors over two latent variables, beside what stands for them.

use super::Count;
use serde::{Deserialize, Serialize};
use toml::Spanned;

/// `[pictures]`: of some test points the true posterior, and `q*` and the last encoder's `q` of the family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PicturesSpec {
    /// The first of the test points.
    pub points: Spanned<Count>,
    /// Cells along a side.
    pub cells: Spanned<Count>,
}

impl Default for PicturesSpec {
    fn default() -> Self {
        Self {
            points: Spanned::new(0..0, Count::new(4)),
            cells: Spanned::new(0..0, Count::new(40)),
        }
    }
}
