//! The steps that are taken in a workspace.

use super::backward_pass::{BackwardPass, Part};
use super::forward::{ForwardPass, ResidualEpilogue};
use super::parameters::LearnedNetwork;
use super::path::{InputRows, Observed, TrainingPath};
use super::workspace::Workspace;
use crate::epilogue::OutputEpilogue;
use crate::lanes::Kernel;
use crate::packed::Aligned;

impl<K: Kernel> Workspace<K> {
    /// Takes `part` of a step, or both, from the gradient in the output or from what is there already.
    fn take(
        &mut self,
        learned: &mut LearnedNetwork,
        gradient: Option<&[f32]>,
        part: Part,
        in_input: Option<&mut [f32]>,
    ) {
        let ascend = BackwardPass {
            space: self,
            learned,
            gradient,
            part,
            to_input: in_input.is_some(),
        };
        // SAFETY: a path is made only where its instructions are there, and memory holds whole blocks
        // of the most rows.
        unsafe { K::run_with_instructions(ascend) };
        if let Some(in_input) = in_input {
            let layer = &learned.layers[0];
            copy_rows(&self.in_input, layer.in_width, in_input, layer.n_in);
        }
    }

    /// Through the layers to the gradient in the output.
    fn observe(&mut self, learned: &LearnedNetwork, input: &[f32], observed: &Observed<'_>) {
        let last = learned.layers.len() - 1;
        if observed.rows.is_empty() {
            self.n_rows = 0;
            return;
        }
        let to = self.layers[last].pulled.as_mut_slice().as_mut_ptr();
        let residual = ResidualEpilogue::<K>::new(observed, &learned.layers[last], to);
        let forward = ForwardPass {
            space: self,
            learned,
            input: InputRows {
                data: input,
                rows: None,
            },
            last: residual,
        };
        // SAFETY: as in `take`.
        unsafe { K::run_with_instructions(forward) };
    }
}

impl<K: Kernel> TrainingPath for Workspace<K> {
    fn forward(&mut self, learned: &LearnedNetwork, input: InputRows<'_>, output: &mut [f32]) {
        let last = &learned.layers[learned.layers.len() - 1];
        let plain = OutputEpilogue {
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
        // SAFETY: as in `take`.
        unsafe { K::run_with_instructions(forward) };
        copy_rows(&self.output, last.out_width, output, last.n_out);
    }

    fn ascend(
        &mut self,
        learned: &mut LearnedNetwork,
        gradient: &[f32],
        learning_rate: f64,
        in_input: Option<&mut [f32]>,
    ) {
        let step = learned.next_step(learning_rate);
        self.take(learned, Some(gradient), Part::Whole(step), in_input);
    }

    fn backward(
        &mut self,
        learned: &mut LearnedNetwork,
        input: &[f32],
        observed: &Observed<'_>,
        in_input: Option<&mut [f32]>,
    ) {
        self.observe(learned, input, observed);
        self.take(learned, None, Part::Backward, in_input);
    }

    fn step(&mut self, learned: &mut LearnedNetwork, learning_rate: f64) {
        let step = learned.next_step(learning_rate);
        self.take(learned, None, Part::Step(step), None);
    }
}

/// The first `width` of each row of `stride`, whole registers.
fn copy_rows(from: &Aligned<f32>, stride: usize, to: &mut [f32], width: usize) {
    /// As many at least as a call would copy in the time of the call itself.
    const FEW: usize = 8;
    let rows = from.as_slice().chunks_exact(stride);
    let n_rows = to.len() / width;
    for (i, row) in rows.take(n_rows).enumerate() {
        let place = &mut to[i * width..];
        match (place.first_chunk_mut::<FEW>(), row.first_chunk()) {
            // What is too much is written over by the next row.
            (Some(place), Some(row)) if width <= FEW => *place = *row,
            _ => place[..width].copy_from_slice(&row[..width]),
        }
    }
}
