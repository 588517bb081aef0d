//! Checks `[data]`.

use super::names::MAX_NAME_CHARACTERS;
use super::{SpecConflict, refuse};
use crate::experiment::ExperimentSpec;

impl ExperimentSpec {
    pub(super) fn check_data(&self) -> Result<(), SpecConflict> {
        let data = &self.data;
        if data.name.len() > MAX_NAME_CHARACTERS {
            return refuse(
                "data.name",
                format!(
                    "has a name of {} characters, longer than that of any data set; see `amortgap data list`",
                    data.name.len()
                ),
            );
        }
        if !data.is_synthetic() {
            return Ok(());
        }
        if data.split_seed.is_some() {
            return refuse(
                "data.split_seed",
                "does not apply to `data.name = \"synthetic\"`, which is drawn anew for each seed; remove it",
            );
        }
        let Some(train_points) = &data.train_points else {
            return refuse(
                "data.name",
                "is `synthetic`, which needs `data.train_points`: how many points to draw for fitting",
            );
        };
        let (fitted, measured) = (train_points.get(), data.measure_train.get());
        if measured > fitted {
            return refuse(
                "data.measure_train",
                format!("is {measured}, more than the {fitted} points of `data.train_points`"),
            );
        }
        Ok(())
    }
}
