//! One row of `pictures.csv`: a cell of the grid that shows a distribution over two latent variables.

use gap_spec::{Family, named_enum};
use serde::{Deserialize, Serialize};

named_enum! {
    /// The distribution that a picture shows.
    Pictured {
        /// The true posterior `p(z | x)`.
        Posterior = "posterior",
        /// `q*`, the best `q` of the family.
        FreeForm = "free-form",
        /// The encoder's `q`.
        Amortized = "amortized",
    }
}

/// A cell of a picture's square grid. Cells with less mass than [`MIN_RECORDED_CELL_MASS`] are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PosteriorGridCellRow {
    /// The variant of the experiment; `None` without variants.
    pub variant: Option<String>,
    /// The seed of the repetition.
    pub seed: u64,
    /// The frozen model.
    pub model: String,
    /// The datapoint's number; it is a test point.
    pub datapoint: u64,
    /// The variational family.
    pub family: Family,
    /// The distribution that the picture shows.
    pub pictured: Pictured,
    /// The encoder's name, if the picture shows its `q`.
    pub encoder: Option<String>,
    /// The first coordinate of the grid's centre, the same in all pictures of a datapoint.
    pub middle_1: f64,
    /// The second coordinate of the grid's centre.
    pub middle_2: f64,
    /// Half the side of the grid.
    pub half_width: f64,
    /// Cells along a side of the grid.
    pub cells: u32,
    /// The first coordinate of the cell's centre.
    pub z_1: f64,
    /// The second coordinate of the cell's centre.
    pub z_2: f64,
    /// The distribution's mass in the cell. For the posterior it is a share of the mass within the grid.
    pub mass: f64,
}

/// The least mass of a cell that gets a row.
pub const MIN_RECORDED_CELL_MASS: f64 = 5e-5;
