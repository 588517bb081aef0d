//! The passes and steps of training in a workspace.

use super::backward_pass::{BackwardPass, StepPart};
use super::forward::{ForwardPass, OutputGradientEpilogue};
use super::parameters::LearnedNetwork;
use super::path::{InputRows, LikelihoodTarget, TrainingPath};
use super::workspace::Workspace;
use crate::epilogue::OutputBiasEpilogue;
use crate::lanes::ProductKernel;
use crate::packed::AlignedBuffer;

impl<K: ProductKernel> Workspace<K> {
    /// Runs `part` of a step, given the `gradient` with respect to the output. If that is `None`, the workspace
    /// holds the gradient already.
    fn run_step_part(
        &mut self,
        learned: &mut LearnedNetwork,
        gradient: Option<&[f32]>,
        part: StepPart,
        in_input: Option<&mut [f32]>,
    ) {
        let ascend = BackwardPass {
            space: self,
            learned,
            gradient,
            part,
            to_input: in_input.is_some(),
        };
        // SAFETY: a workspace is created only for instructions that this processor supports, and it has room
        // for `most_rows` rows in whole blocks.
        unsafe { K::run_with_instructions(ascend) };
        if let Some(in_input) = in_input {
            let layer = &learned.layers[0];
            copy_rows_without_padding(&self.in_input, layer.in_width, in_input, layer.n_in);
        }
    }

    /// Does the forward pass, and leaves the gradient of the log likelihood with respect to the output in the
    /// workspace.
    fn forward_to_output_gradient(
        &mut self,
        learned: &LearnedNetwork,
        input: &[f32],
        observed: &LikelihoodTarget<'_>,
    ) {
        let last = learned.layers.len() - 1;
        if observed.rows.is_empty() {
            self.n_rows = 0;
            return;
        }
        let to = self.layers[last].pulled.as_mut_slice().as_mut_ptr();
        let residual = OutputGradientEpilogue::<K>::new(observed, &learned.layers[last], to);
        let forward = ForwardPass {
            space: self,
            learned,
            input: InputRows {
                data: input,
                rows: None,
            },
            last: residual,
        };
        // SAFETY: as in `run_step_part`.
        unsafe { K::run_with_instructions(forward) };
    }
}

impl<K: ProductKernel> TrainingPath for Workspace<K> {
    fn forward(&mut self, learned: &LearnedNetwork, input: InputRows<'_>, output: &mut [f32]) {
        let last = &learned.layers[learned.layers.len() - 1];
        let plain = OutputBiasEpilogue {
            bias: last.bias.values.as_slice().as_ptr(),
            to: self.output.as_mut_slice().as_mut_ptr(),
            stride: last.out_width,
        };
        let forward = ForwardPass {
            space: self,
            learned,
            input,
            last: plain,
        };
        // SAFETY: as in `run_step_part`.
        unsafe { K::run_with_instructions(forward) };
        copy_rows_without_padding(&self.output, last.out_width, output, last.n_out);
    }

    fn ascend_from_output_gradient(
        &mut self,
        learned: &mut LearnedNetwork,
        gradient: &[f32],
        learning_rate: f64,
        in_input: Option<&mut [f32]>,
    ) {
        let step = learned.begin_next_step(learning_rate);
        self.run_step_part(learned, Some(gradient), StepPart::Whole(step), in_input);
    }

    fn forward_and_backward(
        &mut self,
        learned: &mut LearnedNetwork,
        input: &[f32],
        observed: &LikelihoodTarget<'_>,
        in_input: Option<&mut [f32]>,
    ) {
        self.forward_to_output_gradient(learned, input, observed);
        self.run_step_part(learned, None, StepPart::Backward, in_input);
    }

    fn take_pending_step(&mut self, learned: &mut LearnedNetwork, learning_rate: f64) {
        let step = learned.begin_next_step(learning_rate);
        self.run_step_part(learned, None, StepPart::Step(step), None);
    }
}

/// Copies the first `width` numbers of each row of `from` to `to`; rows of `from` are `stride` apart.
fn copy_rows_without_padding(
    from: &AlignedBuffer<f32>,
    stride: usize,
    to: &mut [f32],
    width: usize,
) {
    /// Rows up to this width are copied by a move of fixed length, which takes less time than calling a copy
    /// function.
    const FIXED_COPY_WIDTH: usize = 8;
    let rows = from.as_slice().chunks_exact(stride);
    let n_rows = to.len() / width;
    for (i, row) in rows.take(n_rows).enumerate() {
        let place = &mut to[i * width..];
        match (
            place.first_chunk_mut::<FIXED_COPY_WIDTH>(),
            row.first_chunk(),
        ) {
            // Numbers beyond `width` are overwritten by the next row.
            (Some(place), Some(row)) if width <= FIXED_COPY_WIDTH => *place = *row,
            _ => place[..width].copy_from_slice(&row[..width]),
        }
    }
}
