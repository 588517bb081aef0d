//! What a packed network answers, whichever vector instructions it was packed for.

use crate::packed::AlignedBuffer;
use gap_spec::Precision;

/// Where results go, each if it is asked for.
#[derive(Debug)]
pub struct DecoderOutputs<'a> {
    /// `∇_z log p(x, z)` under a standard normal prior: `[N, D]`.
    pub score: Option<&'a mut [f32]>,
    /// `log p(x | z)`, nats: `[N]`.
    pub log_likelihood: Option<&'a mut [f64]>,
    /// By which products.
    pub precision: Precision,
}

impl Default for DecoderOutputs<'_> {
    /// Nothing, by products of 32 bits.
    fn default() -> Self {
        Self {
            score: None,
            log_likelihood: None,
            precision: Precision::Full,
        }
    }
}

/// A packed decoder of one path.
pub(crate) trait DecoderPath: Send + Sync {
    fn latent_dim(&self) -> usize;
    fn observed_dim(&self) -> usize;
    /// The same with what fills it up to whole registers.
    fn padded_observed_dim(&self) -> usize;
    /// Lengths fit and observations are there.
    fn evaluate(
        &self,
        x: &AlignedBuffer<f32>,
        observations: &[usize],
        z: &[f32],
        outputs: DecoderOutputs<'_>,
    );
}

/// A packed perceptron of one path.
pub(crate) trait ForwardPath: Send + Sync {
    fn n_inputs(&self) -> usize;
    fn n_outputs(&self) -> usize;
    /// Lengths fit.
    fn forward(&self, input: &[f32], output: &mut [f32]);
}
