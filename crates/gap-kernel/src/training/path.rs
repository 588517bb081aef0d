//! The trait of workspaces, and the inputs of their passes.

use super::parameters::LearnedNetwork;
use crate::network::KernelLikelihood;

/// The observations and the likelihood that a decoder is trained on.
#[derive(Clone, Copy, Debug)]
pub struct LikelihoodTarget<'a> {
    /// Observations, `[B, X]`.
    pub x: &'a [f32],
    /// The row of `x` that each row of `z` belongs to, `[N]`. Several rows of `z` may belong to the same row of
    /// `x`.
    pub rows: &'a [usize],
    /// The likelihood of an observation given the output.
    pub likelihood: KernelLikelihood,
    /// The factor of each row's `log p(x | z)` in the objective.
    pub scale: f32,
}

/// The given `rows` of `data`, in that order, or all of them if `None`.
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

/// The passes and steps of training, for one instruction set and precision. All lengths must fit.
pub(super) trait TrainingPath: Send {
    fn forward(&mut self, learned: &LearnedNetwork, input: InputRows<'_>, output: &mut [f32]);
    /// Takes a step, given the `gradient` with respect to the output of the latest `forward`.
    fn ascend_from_output_gradient(
        &mut self,
        learned: &mut LearnedNetwork,
        gradient: &[f32],
        learning_rate: f64,
        in_input: Option<&mut [f32]>,
    );
    /// Does the forward pass, computes the gradient of the log likelihood with respect to the output, and does
    /// the backward pass. The gradient with respect to the input is written to `in_input` if that is given.
    fn forward_and_backward(
        &mut self,
        learned: &mut LearnedNetwork,
        input: &[f32],
        observed: &LikelihoodTarget<'_>,
        in_input: Option<&mut [f32]>,
    );
    /// Takes the step that `forward_and_backward` has left pending.
    fn take_pending_step(&mut self, learned: &mut LearnedNetwork, learning_rate: f64);
}
