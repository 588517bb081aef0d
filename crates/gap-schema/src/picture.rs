//! One row of `pictures.csv`: a cell of a picture of a distribution over two latent variables.

use gap_spec::{Family, named_enum};
use serde::{Deserialize, Serialize};

named_enum! {
    /// Whose picture it is.
    Pictured {
        /// The true posterior `p(z | x)`.
        Posterior = "posterior",
        /// The best `q` of the family.
        FreeForm = "free-form",
        /// The encoder's `q`.
        Amortized = "amortized",
    }
}

/// A cell of a square picture. Cells that hold less than [`MIN_RECORDED_CELL_MASS`] are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PosteriorGridCellRow {
    /// The variant of the experiment, where it has several.
    pub variant: Option<String>,
    /// The seed of the repetition.
    pub seed: u64,
    /// The frozen model.
    pub model: String,
    /// The datapoint's number, of the test points.
    pub datapoint: u64,
    /// The variational family.
    pub family: Family,
    /// Whose picture it is.
    pub pictured: Pictured,
    /// The encoder, for an amortized one.
    pub encoder: Option<String>,
    /// The middle of the picture, the same for all of a datapoint.
    pub middle_1: f64,
    /// See `middle_1`.
    pub middle_2: f64,
    /// Half of a picture's side.
    pub half_width: f64,
    /// Cells along a side.
    pub cells: u32,
    /// The middle of the cell.
    pub z_1: f64,
    /// See `z_1`.
    pub z_2: f64,
    /// The distribution's mass in the cell: of a posterior, as a share of that in the picture.
    pub mass: f64,
}

/// The mass of a cell that is worth a row.
pub const MIN_RECORDED_CELL_MASS: f64 = 5e-5;
