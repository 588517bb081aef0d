//! `[data]`: the observations, and their parts.

use crate::named_enum;
use crate::number::Count;
use serde::{Deserialize, Serialize};

named_enum! {
    /// Which part of a data set a datapoint was measured on.
    Split {
        /// Points that the decoder and the encoders were fitted to.
        Train = "train",
        /// Points that nothing was fitted to.
        Test = "test",
        /// Points drawn from the model itself, where bounds from both sides can be had.
        Simulated = "simulated",
    }
}

/// `[data]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// A name from `amortgap data list`, or `synthetic`: drawn from the model itself.
    pub name: String,
    /// Which random split, for data without a published one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_seed: Option<u32>,
    /// Points to fit to. Default: all training points of a published split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_points: Option<Count>,
    /// Training points to measure gaps on.
    pub measure_train: Count,
    /// Test points to measure gaps on.
    pub measure_test: Count,
}

/// The name of data that is drawn from the model.
pub const SYNTHETIC: &str = "synthetic";

impl DataSpec {
    /// Whether the observations are drawn from the model.
    pub fn is_synthetic(&self) -> bool {
        self.name == SYNTHETIC
    }
}
