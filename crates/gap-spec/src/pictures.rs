//! `[pictures]`: grids that show posteriors over two latent variables, and the `q`s that approximate them.

use crate::number::Count;
use serde::{Deserialize, Serialize};

/// `[pictures]`: for some test points the true posterior, `q*`, and the `q` of the last of the encoders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PicturesSpec {
    /// The number of test points, counted from the first.
    pub points: Count,
    /// Cells along a side of the square grid.
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
