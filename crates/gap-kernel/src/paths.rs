//! The traits of packed networks. An implementation for one instruction set and precision is called a path.

use crate::packed::AlignedBuffer;
use gap_spec::Precision;

/// Where an evaluation writes its results. A result whose place is `None` is not computed.
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
    /// Asks for no results, in full precision.
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
    /// Computes `outputs` for the rows of `z`; row `n` belongs to row `observations[n]` of `x`. Lengths must
    /// fit, and the rows of `x` must exist.
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
