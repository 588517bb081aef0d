//! The backward pass through the layers, and the Adam steps of their parameters.

use super::factors::interleave_rows_by_column;
use super::parameters::{LearnedLayer, LearnedNetwork};
use super::workspace::{LayerWorkspace, Workspace};
use crate::adam::{AdamPass, AdamStep};
use crate::epilogue::{ActivationGradientEpilogue, StoreEpilogue};
use crate::lanes::{Lanes, ProductKernel, VectorWork};
use crate::layers::store_rows;
use crate::packed::AlignedBuffer;
use crate::product::{Epilogue, StridedRows, unpacked_product};

/// A backward pass, an Adam step, or both, given the `gradient` with respect to the output, `[N, out]`. If that
/// is `None`, the last layer's gradient is in the workspace already.
pub(super) struct BackwardPass<'a, K: ProductKernel> {
    pub(super) space: &'a mut Workspace<K>,
    pub(super) learned: &'a mut LearnedNetwork,
    pub(super) gradient: Option<&'a [f32]>,
    pub(super) part: StepPart,
    pub(super) to_input: bool,
}

/// What a [`BackwardPass`] does with the layers, from the last to the first. `Whole` does the backward pass of
/// a layer and takes its step before it goes on. `Backward` does the backward pass of all layers, and a later
/// `Step` takes all their steps. Both ways add up the same numbers in the same order.
#[derive(Clone, Copy)]
pub(super) enum StepPart {
    Whole(AdamStep),
    Backward,
    Step(AdamStep),
}

impl<K: ProductKernel> VectorWork for BackwardPass<'_, K> {
    #[inline(always)]
    unsafe fn run(mut self) {
        let last = self.learned.layers.len() - 1;
        if let Some(gradient) = self.gradient {
            let layer = &self.learned.layers[last];
            let pulled = &mut self.space.layers[last].pulled;
            let rows = gradient.chunks_exact(layer.n_out);
            unsafe { store_rows::<K>(rows, pulled, layer.out_width) };
        }
        for i in (0..=last).rev() {
            unsafe {
                match self.part {
                    StepPart::Whole(step) => {
                        self.back(i);
                        self.up(i, step);
                    }
                    StepPart::Backward => self.back(i),
                    StepPart::Step(step) => self.up(i, step),
                }
            }
        }
    }
}

impl<K: ProductKernel> BackwardPass<'_, K> {
    /// Computes the gradient with respect to the pre-activation of the layer before layer `i`. For the first
    /// layer, it computes the gradient with respect to the input, if that is asked for.
    #[inline(always)]
    unsafe fn back(&mut self, i: usize) {
        let (layer, n_rows) = (&self.learned.layers[i], self.space.padded_n_rows());
        if i == 0 && !self.to_input {
            return;
        }
        let (before, rest) = self.space.layers.split_at_mut(i);
        unsafe { rest[0].weight.arrange_for_backward(layer) };
        let pulled = StridedRows {
            first: rest[0].pulled.as_slice().as_ptr(),
            stride: layer.out_width,
        };
        let left = pulled.left_factor(K::PRODUCTS_PER_INSTRUCTION);
        let right = rest[0].weight.backward_factors(layer);
        let (n_steps, stride) = (
            layer.n_out.div_ceil(K::PRODUCTS_PER_INSTRUCTION),
            layer.in_width,
        );
        if let Some(before) = before.last_mut() {
            let epilogue = ActivationGradientEpilogue::<K> {
                activation: self.learned.activation,
                values: before.value.as_slice().as_ptr(),
                to: before.pulled.as_mut_slice().as_mut_ptr(),
                stride,
            };
            unsafe { unpacked_product::<K, _>(left, n_rows, right, n_steps, stride, &epilogue) };
        } else {
            let epilogue = StoreEpilogue {
                to: self.space.in_input.as_mut_slice().as_mut_ptr(),
                stride,
            };
            unsafe { unpacked_product::<K, _>(left, n_rows, right, n_steps, stride, &epilogue) };
        }
    }

    /// Takes the step of layer `i` up its gradient: a sum over the rows of the batch, without padding rows.
    #[inline(always)]
    unsafe fn up(&mut self, i: usize, step: AdamStep) {
        let n_rows = self.space.n_rows;
        let layer = &mut self.learned.layers[i];
        let (before, rest) = self.space.layers.split_at_mut(i);
        let space = &mut rest[0];
        let input = before
            .last()
            .map_or(&self.space.input, |before| &before.value);
        let [input_columns, pulled_columns] = &mut self.space.columns;
        let (n_in, n_out) = (layer.in_width, layer.out_width);
        let left = interleave_rows_by_column::<K>(input.as_slice(), n_rows, n_in, input_columns);
        let right =
            interleave_rows_by_column::<K>(space.pulled.as_slice(), n_rows, n_out, pulled_columns);
        let epilogue = WeightStepEpilogue::<K>::new(layer, space, step);
        unsafe {
            unpacked_product::<K, _>(
                left.transposed_left_factor(K::PRODUCTS_PER_INSTRUCTION),
                layer.n_in.next_multiple_of(K::MICROKERNEL_ROWS),
                right,
                n_rows.div_ceil(K::PRODUCTS_PER_INSTRUCTION),
                n_out,
                &epilogue,
            );
            space.weight.arrange_for_forward(layer);
            add_rows::<K>(&space.pulled, n_rows, &mut space.in_bias);
            let bias = &mut layer.bias;
            let moments = [bias.mean.as_mut_slice(), bias.square.as_mut_slice()];
            let (values, in_bias) = (bias.values.as_mut_slice(), space.in_bias.as_slice());
            AdamPass::<K::Lanes>::new(values, in_bias, moments, step).run();
        }
    }
}

/// Takes the step of a weight as soon as a block of its gradient is summed up; the gradient is not stored.
struct WeightStepEpilogue<K: ProductKernel> {
    step: AdamStep,
    values: *mut f32,
    mean: *mut f32,
    square: *mut f32,
    kept: Option<*mut K::Factor>,
    stride: usize,
}

impl<K: ProductKernel> WeightStepEpilogue<K> {
    fn new(layer: &mut LearnedLayer, space: &mut LayerWorkspace<K>, step: AdamStep) -> Self {
        let weight = &mut layer.weight;
        Self {
            step,
            values: weight.values.as_mut_slice().as_mut_ptr(),
            mean: weight.mean.as_mut_slice().as_mut_ptr(),
            square: weight.square.as_mut_slice().as_mut_ptr(),
            kept: space.weight.kept_factors_ptr(),
            stride: layer.out_width,
        }
    }
}

impl<K: ProductKernel> Epilogue<K::Lanes> for WeightStepEpilogue<K> {
    #[inline(always)]
    unsafe fn finish_one(&self, row: usize, column: usize, sum: <K::Lanes as Lanes>::Vector) {
        let place = row * self.stride + column;
        unsafe {
            let moments = [self.mean.add(place), self.square.add(place)];
            let value = self
                .step
                .ascend_lanes::<K::Lanes>(self.values.add(place), sum, moments);
            if let Some(kept) = self.kept {
                K::store_factors(kept.add(place), value);
            }
        }
    }
}

/// Writes the sum of the first `n_rows` of `rows` to `sums`, adding row after row.
///
/// # Safety
///
/// As for [`ProductKernel`]; rows must be as long as `sums`, a whole number of registers.
#[inline(always)]
unsafe fn add_rows<K: ProductKernel>(
    rows: &AlignedBuffer<K::Factor>,
    n_rows: usize,
    sums: &mut AlignedBuffer<f32>,
) {
    let sums = sums.as_mut_slice();
    sums.fill(0.0);
    for row in rows.as_slice().chunks_exact(sums.len()).take(n_rows) {
        for column in (0..sums.len()).step_by(K::Lanes::LANES) {
            unsafe {
                let sum = sums.as_mut_ptr().add(column);
                let value = K::load_factors(row.as_ptr().add(column));
                K::Lanes::store(sum, K::Lanes::add(K::Lanes::load(sum), value));
            }
        }
    }
}
