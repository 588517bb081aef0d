//! Estimates on consecutive blocks of their draws. They show the error of a difference of two estimates that share
//! draws, which the errors of the two alone do not.

use serde::{Deserialize, Serialize};

/// The number of blocks.
pub const N_DRAW_BLOCKS: usize = 16;

/// What each of [`N_DRAW_BLOCKS`] blocks of draws, of nearly equal size, adds to an estimate, nats: the estimate from
/// the block alone less that from all draws, to first order. Their mean is about 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockDeviations(pub [f32; N_DRAW_BLOCKS]);

impl BlockDeviations {
    /// The deviations of a difference of two estimates, each from as many draws. They show the error of the
    /// difference whether or not the draws are the same.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|block| self.0[block] - other.0[block]))
    }

    /// An estimate of the Monte Carlo variance of the estimate from all draws, nats², with a relative standard error
    /// of 0.37.
    pub fn variance(&self) -> f64 {
        let n = N_DRAW_BLOCKS as f64;
        let mean = self.0.iter().map(|&d| f64::from(d)).sum::<f64>() / n;
        let squares = self.0.iter().map(|&d| (f64::from(d) - mean).powi(2));
        squares.sum::<f64>() / (n * (n - 1.0))
    }
}
