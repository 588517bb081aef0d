//! `[pictures]`: posteriors over two latent variables, beside what stands for them.

use crate::number::Count;
use serde::{Deserialize, Serialize};

/// `[pictures]`: of some test points the true posterior, and `q*` and the last encoder's `q` of the family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PicturesSpec {
    /// The first of the test points.
    pub points: Count,
    /// Cells along a side.
    pub cells: Count,
}

impl Default for PicturesSpec {
    fn default() -> Self {
        Self {
            points: Count::new(4),
            cells: Count::new(40),
        }
    }
}
