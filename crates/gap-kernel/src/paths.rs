//! The traits of packed networks. An implementation for one instruction set and precision is called a path.

use crate::packed::AlignedBuffer;
use gap_spec::Precision;

/// Where the results are written; each is computed only if it is asked for.
#[derive(Debug)]
pub struct DecoderOutputs<'a> {
    /// `∇_z log p(x, z)` under a standard normal prior: `[N, D]`.
    pub score: Option<&'a mut [f32]>,
    /// `log p(x | z)`, nats: `[N]`.
    pub log_likelihood: Option<&'a mut [f64]>,
    /// The precision of factors in products.
    pub precision: Precision,
}

impl Default for DecoderOutputs<'_> {
    /// No results, in full precision.
    fn default() -> Self {
        Self {
            score: None,
            log_likelihood: None,
            precision: Precision::Full,
        }
    }
}

/// A decoder, packed for one instruction set and precision.
pub(crate) trait DecoderPath: Send + Sync {
    fn latent_dim(&self) -> usize;
    fn observed_dim(&self) -> usize;
    /// The observed dimension, padded to whole registers.
    fn padded_observed_dim(&self) -> usize;
    /// Writes the `outputs` of the rows of `z`. Lengths must fit, and `observations` must be indices
    /// of rows of `x`.
    fn evaluate(
        &self,
        x: &AlignedBuffer<f32>,
        observations: &[usize],
        z: &[f32],
        outputs: DecoderOutputs<'_>,
    );
}

/// A perceptron, packed for one instruction set.
pub(crate) trait ForwardPath: Send + Sync {
    fn n_inputs(&self) -> usize;
    fn n_outputs(&self) -> usize;
    /// Writes the output of each row. Lengths must fit, and there must be at least one row.
    fn forward(&self, input: &[f32], output: &mut [f32]);
}
