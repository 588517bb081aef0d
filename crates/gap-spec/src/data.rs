//! `[data]`: the observations, and the parts they are split into.

use crate::named_enum;
use crate::number::Count;
use serde::{Deserialize, Serialize};

named_enum! {
    /// The part of the data that a datapoint belongs to.
    Split {
        /// Points that the decoder and the encoders were fitted to.
        Train = "train",
        /// Points that nothing was fitted to.
        Test = "test",
        /// Points drawn from the model itself, for which `log p(x)` can be bounded from both sides.
        Simulated = "simulated",
    }
}

/// `[data]`: which observations to use, and how many of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// A name from `amortgap data list`, or `synthetic` for observations that are drawn from the model.
    pub name: String,
    /// The seed of the random split, for data without a published split. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_seed: Option<u32>,
    /// The number of points to fit to. Required for synthetic data. Default: all training points of the data
    /// set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_points: Option<Count>,
    /// The number of training points to measure gaps on.
    pub measure_train: Count,
    /// The number of test points to measure gaps on.
    pub measure_test: Count,
}

/// The `name` of data that are drawn from the model.
pub const SYNTHETIC: &str = "synthetic";

impl DataSpec {
    /// Whether the observations are drawn from the model.
    pub fn is_synthetic(&self) -> bool {
        self.name == SYNTHETIC
    }
}
