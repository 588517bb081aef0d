//! What a packed network answers, whichever vector instructions it was packed for.

use crate::packed::Aligned;
use crate::precision::Precision;

/// Where results go, each if it is asked for.
#[derive(Debug, Default)]
pub struct DecoderOutputs<'a> {
    /// `∇_z log p(x, z)` under a standard normal prior: `[N, D]`.
    pub score: Option<&'a mut [f32]>,
    /// `log p(x | z)`, nats: `[N]`.
    pub log_likelihood: Option<&'a mut [f64]>,
    /// By which products.
    pub precision: Precision,
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
        x: &Aligned<f32>,
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
