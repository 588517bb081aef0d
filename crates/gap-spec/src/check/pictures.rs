//! Checks `[pictures]`.

use super::{SpecConflict, refuse};
use crate::experiment::ExperimentSpec;

/// The most cells along a side; with more, files take many megabytes.
const MAX_PICTURE_CELLS: u32 = 200;

impl ExperimentSpec {
    pub(super) fn check_pictures(&self) -> Result<(), SpecConflict> {
        let Some(pictures) = &self.pictures else {
            return Ok(());
        };
        let latent_dim = self.model.latent_dim.get();
        if latent_dim != 2 {
            return refuse(
                "pictures",
                format!(
                    "are of two latent variables, and `model.latent_dim` is {latent_dim}; set that to 2, or remove the section"
                ),
            );
        }
        if self.encoders.is_empty() {
            return refuse(
                "pictures",
                "show an encoder's `q`, and `encoders` is empty; add an [[encoders]], or remove the section",
            );
        }
        let (pictures, measured) = (pictures, self.data.measure_test.get());
        let points = pictures.points.get();
        if points > measured {
            return refuse(
                "pictures.points",
                format!("is {points}, more than the {measured} of `data.measure_test`"),
            );
        }
        let cells = pictures.cells.get();
        if !(2..=MAX_PICTURE_CELLS).contains(&cells) {
            return refuse(
                "pictures.cells",
                format!("is {cells}; use 2 to {MAX_PICTURE_CELLS} along a side, as in 40"),
            );
        }
        Ok(())
    }
}
