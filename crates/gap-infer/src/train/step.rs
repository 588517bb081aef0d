//! What one step of a fit learns from.

use gap_spec::Precision;

/// The datapoints and the noise of one step.
pub struct TrainingStepInputs<'a> {
    /// Of the datapoints in the data: `[B]`.
    pub positions: &'a [usize],
    /// `S`.
    pub n_samples: usize,
    /// Standard normals: `[S, B, N]`.
    pub noise: &'a [f32],
    /// Of Adam.
    pub learning_rate: f64,
    /// Of products on the kernels.
    pub precision: Precision,
}
