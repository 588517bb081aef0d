//! The inputs of one step of a fit.

use gap_spec::Precision;

/// The datapoints, the noise and the settings of one step.
pub struct TrainingStepInputs<'a> {
    /// The positions of the step's datapoints in the data: `[B]`.
    pub positions: &'a [usize],
    /// The number of draws per datapoint, `S`.
    pub n_samples: usize,
    /// Standard normals: `[S, B, N]`.
    pub noise: &'a [f32],
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// The precision of matrix products on the kernels.
    pub precision: Precision,
}
