//! What a batch and the weights are on the path `K`, and the steps that are taken there.

use super::ascend::{Ascend, Half};
use super::factors::Weight;
use super::forward::{Forward, Residual};
use super::parameters::{Learned, LearnedLayer};
use super::{Input, Observed, TrainingPath};
use crate::epilogue::Plain;
use crate::lanes::Kernel;
use crate::packed::Aligned;

/// One layer's part.
pub(super) struct LayerSpace<K: Kernel> {
    pub(super) weight: Weight<K>,
    pub(super) value: Aligned<K::Factor>, // its output, [rows, out]; empty for the last
    pub(super) pulled: Aligned<K::Factor>, // the gradient in it, [rows, out]
    pub(super) in_bias: Aligned<f32>,     // the gradient in the bias, [out]
}

/// Memory for the most rows, in whole blocks, all of it filled up to whole registers.
pub(super) struct Workspace<K: Kernel> {
    pub(super) layers: Vec<LayerSpace<K>>,
    pub(super) input: Aligned<K::Factor>, // [rows, in]
    pub(super) output: Aligned<f32>,      // [rows, out]
    pub(super) in_input: Aligned<f32>,    // the gradient in the input, if it was asked for
    /// The two factors of the gradient in a weight, where their order differs from that of rows.
    pub(super) columns: [Aligned<K::Factor>; 2],
    /// Rows of the batch.
    pub(super) n_rows: usize,
}

impl<K: Kernel> Workspace<K> {
    pub(super) fn new(learned: &Learned) -> Self {
        let rows = learned.most_rows.next_multiple_of(K::ROWS);
        let layers = &learned.layers;
        let last = layers.len() - 1;
        let space = |(i, layer): (usize, &LearnedLayer)| LayerSpace {
            weight: Weight::of(layer),
            value: Aligned::zeros(if i < last { rows * layer.out_width } else { 0 }),
            pulled: Aligned::zeros(rows * layer.out_width),
            in_bias: Aligned::zeros(layer.out_width),
        };
        let columns = |width: fn(&LearnedLayer) -> usize| {
            let widest = layers.iter().map(width).max().unwrap_or(0);
            Aligned::zeros(if K::DEPTH > 1 { rows * widest } else { 0 })
        };
        let mut workspace = Self {
            layers: layers.iter().enumerate().map(space).collect(),
            input: Aligned::zeros(rows * layers[0].in_width),
            output: Aligned::zeros(rows * layers[last].out_width),
            in_input: Aligned::zeros(rows * layers[0].in_width),
            columns: [
                columns(|layer| layer.in_width),
                columns(|layer| layer.out_width),
            ],
            n_rows: 0,
        };
        for (space, layer) in workspace.layers.iter_mut().zip(layers) {
            space.weight.arrange_forward(layer);
        }
        workspace
    }

    /// Rows in whole blocks.
    pub(super) fn whole_rows(&self) -> usize {
        self.n_rows.next_multiple_of(K::ROWS)
    }

    /// Takes `half` of a step, or both, from the gradient in the output or from what is there already.
    fn step(
        &mut self,
        learned: &mut Learned,
        gradient: Option<&[f32]>,
        half: Half,
        in_input: Option<&mut [f32]>,
    ) {
        let ascend = Ascend {
            space: self,
            learned,
            gradient,
            half,
            to_input: in_input.is_some(),
        };
        // SAFETY: a path is made only where its instructions are there, and memory holds whole blocks
        // of the most rows.
        unsafe { K::enter(ascend) };
        if let Some(in_input) = in_input {
            let layer = &learned.layers[0];
            copy_rows(&self.in_input, layer.in_width, in_input, layer.n_in);
        }
    }

    /// Through the layers to the gradient in the output.
    fn observe(&mut self, learned: &Learned, input: &[f32], observed: &Observed<'_>) {
        let last = learned.layers.len() - 1;
        if observed.rows.is_empty() {
            self.n_rows = 0;
            return;
        }
        let to = self.layers[last].pulled.as_mut_slice().as_mut_ptr();
        let residual = Residual::<K>::new(observed, &learned.layers[last], to);
        let forward = Forward {
            space: self,
            learned,
            input: Input {
                data: input,
                rows: None,
            },
            last: residual,
        };
        // SAFETY: as in `step`.
        unsafe { K::enter(forward) };
    }
}

impl<K: Kernel> TrainingPath for Workspace<K> {
    fn forward(&mut self, learned: &Learned, input: Input<'_>, output: &mut [f32]) {
        let last = &learned.layers[learned.layers.len() - 1];
        let plain = Plain {
            bias: last.bias.values.as_slice().as_ptr(),
            to: self.output.as_mut_slice().as_mut_ptr(),
            stride: last.out_width,
        };
        let forward = Forward {
            space: self,
            learned,
            input,
            last: plain,
        };
        // SAFETY: as in `step`.
        unsafe { K::enter(forward) };
        copy_rows(&self.output, last.out_width, output, last.n_out);
    }

    fn ascend(
        &mut self,
        learned: &mut Learned,
        gradient: &[f32],
        learning_rate: f64,
        in_input: Option<&mut [f32]>,
    ) {
        let step = learned.next_step(learning_rate);
        self.step(learned, Some(gradient), Half::Both(step), in_input);
    }

    fn go_back(
        &mut self,
        learned: &mut Learned,
        input: &[f32],
        observed: &Observed<'_>,
        in_input: Option<&mut [f32]>,
    ) {
        self.observe(learned, input, observed);
        self.step(learned, None, Half::Back, in_input);
    }

    fn go_up(&mut self, learned: &mut Learned, learning_rate: f64) {
        let step = learned.next_step(learning_rate);
        self.step(learned, None, Half::Up(step), None);
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
