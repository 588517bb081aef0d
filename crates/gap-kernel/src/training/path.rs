//! What learning takes on one path, and what its steps are given.

use super::parameters::LearnedNetwork;
use crate::network::KernelLikelihood;

/// What the output of a learning decoder is held against.
#[derive(Clone, Copy, Debug)]
pub struct LikelihoodTarget<'a> {
    /// Observations, `[B, X]`.
    pub x: &'a [f32],
    /// The observation that each row is for: `[N]`, one as often as it has draws.
    pub rows: &'a [usize],
    /// Of an observation given the output.
    pub likelihood: KernelLikelihood,
    /// How much each row's `log p(x | z)` counts.
    pub scale: f32,
}

/// Rows of `data`, some of them, in any order, or all.
#[derive(Clone, Copy)]
pub(super) struct InputRows<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: Option<&'a [usize]>,
}

impl<'a> InputRows<'a> {
    pub(super) fn n_rows(&self, width: usize) -> usize {
        self.rows.map_or(self.data.len() / width, <[usize]>::len)
    }

    pub(super) fn row(&self, i: usize, width: usize) -> &'a [f32] {
        let row = self.rows.map_or(i, |rows| rows[i]);
        &self.data[row * width..(row + 1) * width]
    }
}

/// The rest of what learning takes on one path. Lengths fit.
pub(super) trait TrainingPath: Send {
    fn forward(&mut self, learned: &LearnedNetwork, input: InputRows<'_>, output: &mut [f32]);
    /// After `forward`, from the gradient in its output.
    fn ascend_from_output_gradient(
        &mut self,
        learned: &mut LearnedNetwork,
        gradient: &[f32],
        learning_rate: f64,
        in_input: Option<&mut [f32]>,
    );
    /// Forward to the gradient of an observed output, and back, to that in the input if it is asked for.
    fn forward_and_backward(
        &mut self,
        learned: &mut LearnedNetwork,
        input: &[f32],
        observed: &LikelihoodTarget<'_>,
        in_input: Option<&mut [f32]>,
    );
    /// The step from there.
    fn take_pending_step(&mut self, learned: &mut LearnedNetwork, learning_rate: f64);
}
