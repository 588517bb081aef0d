//! Observations in units of their own spread, so that fits do not depend on the units of the data.

use gap_torch::checkpoint::{Checkpoint, CheckpointError};
use tch::{Device, Kind, Tensor};

/// A feature has no spread if its standard deviation is below this fraction of its largest absolute value: the
/// rounding of 32-bit numbers alone comes near that.
const LEAST_RELATIVE_SPREAD: f64 = 1e-6;

/// The means and scales of the features of a data set: an observation `x` is seen as `(x − mean) / scale`.
///
/// The scale of a feature is its standard deviation, or 1 if it has no spread.
#[derive(Debug)]
pub struct Standardization {
    mean: Tensor,  // [X], f64
    scale: Tensor, // [X], f64
}

impl Standardization {
    /// Computes the means and scales of the observations `x`, `[M, X]`, and the number of features without spread.
    pub fn from_data(x: &Tensor) -> (Self, u64) {
        let x = x.to_kind(Kind::Double);
        let over_rows = [0_i64];
        let mean = x.mean_dim(over_rows.as_slice(), false, Kind::Double);
        let std = x.std_dim(over_rows.as_slice(), false, false);
        let least = x.abs().amax(over_rows, false) * LEAST_RELATIVE_SPREAD;
        let has_spread = std.gt_tensor(&least);
        let n_constant = has_spread.logical_not().sum(Kind::Int64).int64_value(&[]);
        let scale = std.where_self(&has_spread, &std.ones_like());
        (Self { mean, scale }, n_constant as u64)
    }

    /// Standardizes observations: `[B, X] -> [B, X]`, of the same kind.
    pub fn apply(&self, x: &Tensor) -> Tensor {
        let standardized = (x.to_kind(Kind::Double) - &self.mean) / &self.scale;
        standardized.to_kind(x.kind())
    }

    /// Adds the means and scales to `checkpoint`, as `prefix.mean` and `prefix.scale`.
    pub fn store(&self, checkpoint: &mut Checkpoint, prefix: &str) {
        checkpoint.insert(format!("{prefix}.mean"), &self.mean);
        checkpoint.insert(format!("{prefix}.scale"), &self.scale);
    }

    /// Reads what [`Self::store`] wrote, for `n_features` features.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Missing`] if a tensor is not there, or has another shape;
    /// [`CheckpointError::NotFinite`] if a number is not finite.
    pub fn restore(
        checkpoint: &Checkpoint,
        prefix: &str,
        n_features: i64,
        device: Device,
    ) -> Result<Self, CheckpointError> {
        let read = |name: &str| {
            let name = format!("{prefix}.{name}");
            let tensor = checkpoint.get_weights(&name, device)?;
            if tensor.size() == [n_features] {
                Ok(tensor.to_kind(Kind::Double))
            } else {
                Err(CheckpointError::Missing(format!("{name} [{n_features}]")))
            }
        };
        Ok(Self {
            mean: read("mean")?,
            scale: read("scale")?,
        })
    }
}
