//! What an optimizer has learned so far, to be kept and taken up again.

use tch::Tensor;

/// Parameters with Adam's moments.
#[derive(Debug)]
pub struct OptimizerState {
    /// The number of steps so far.
    pub n_steps: i32,
    /// The parameters and their two moments, in an order of the optimizer's own.
    pub numbers: Tensor,
}
