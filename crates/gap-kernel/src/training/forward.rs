//! The forward pass through the layers, which keeps all values for the backward pass.

use super::parameters::{LearnedLayer, LearnedNetwork};
use super::path::{InputRows, LikelihoodTarget};
use super::workspace::Workspace;
use crate::epilogue::{HiddenLayerEpilogue, mean};
use crate::lanes::{Lanes, MAX_LANES, ProductKernel, VectorWork};
use crate::layers::store_rows;
use crate::network::KernelLikelihood;
use crate::product::{Epilogue, StridedRows, unpacked_product};

/// A forward pass of the rows of `input`; the last layer's sums go to the epilogue `last`.
pub(super) struct ForwardPass<'a, K: ProductKernel, E> {
    pub(super) space: &'a mut Workspace<K>,
    pub(super) learned: &'a LearnedNetwork,
    pub(super) input: InputRows<'a>,
    pub(super) last: E,
}

impl<K: ProductKernel, E: Epilogue<K::Lanes>> VectorWork for ForwardPass<'_, K, E> {
    #[inline(always)]
    unsafe fn run(self) {
        let (space, learned) = (self.space, self.learned);
        let (n_in, stride) = (learned.n_inputs(), learned.layers[0].in_width);
        space.n_rows = self.input.n_rows(n_in);
        let rows = (0..space.n_rows).map(|i| self.input.row(i, n_in));
        unsafe { store_rows::<K>(rows, &mut space.input, stride) };
        let n_rows = space.padded_n_rows();
        let first = space.input.as_slice().as_ptr();
        let mut left = StridedRows { first, stride };
        let last = learned.layers.len() - 1;
        for (i, (space, layer)) in space.layers.iter_mut().zip(&learned.layers).enumerate() {
            let right = space.weight.forward_factors(layer);
            let (steps, columns) = (
                layer.n_in.div_ceil(K::PRODUCTS_PER_INSTRUCTION),
                layer.out_width,
            );
            let rows = left.left_factor(K::PRODUCTS_PER_INSTRUCTION);
            if i == last {
                let epilogue = &self.last;
                unsafe { unpacked_product::<K, _>(rows, n_rows, right, steps, columns, epilogue) };
                return;
            }
            let epilogue = HiddenLayerEpilogue::<K> {
                activation: learned.activation,
                bias: layer.bias.values.as_slice().as_ptr(),
                to: space.value.as_mut_slice().as_mut_ptr(),
                stride: columns,
            };
            unsafe { unpacked_product::<K, _>(rows, n_rows, right, steps, columns, &epilogue) };
            left = StridedRows {
                first: space.value.as_slice().as_ptr(),
                stride: columns,
            };
        }
    }
}

/// Finishes a decoder's output: adds the bias, computes the mean, and stores the gradient of
/// `scale · log p(x | z)` with respect to the output.
///
/// In padding columns the gradient is zero. In padding rows it is not, but no result uses it.
pub(super) struct OutputGradientEpilogue<'a, K: ProductKernel> {
    likelihood: KernelLikelihood,
    bias: *const f32,
    x: &'a [f32],
    /// The row of `x` that each row of the batch belongs to.
    rows: &'a [usize],
    n_out: usize,
    /// The factor of `x − mean`: the target's `scale` over the likelihood's dispersion.
    scale: f32,
    to: *mut K::Factor,
    stride: usize,
}

impl<'a, K: ProductKernel> OutputGradientEpilogue<'a, K> {
    /// The epilogue of the last `layer`, which writes gradients to `to`, in rows as wide as the padded layer.
    /// `observed` must have at least one row.
    pub(super) fn new(
        observed: &LikelihoodTarget<'a>,
        layer: &LearnedLayer,
        to: *mut K::Factor,
    ) -> Self {
        Self {
            likelihood: observed.likelihood,
            bias: layer.bias.values.as_slice().as_ptr(),
            x: observed.x,
            rows: observed.rows,
            n_out: layer.n_out,
            scale: (f64::from(observed.scale) / observed.likelihood.dispersion()) as f32,
            to,
            stride: layer.out_width,
        }
    }

    /// Returns the gradient with respect to `output`, given the observation at `x`.
    #[inline(always)]
    unsafe fn gradient(
        &self,
        x: *const f32,
        output: <K::Lanes as Lanes>::Vector,
    ) -> <K::Lanes as Lanes>::Vector {
        unsafe {
            let mean = mean::<K::Lanes>(self.likelihood, output);
            let residual = <K::Lanes as Lanes>::subtract(K::Lanes::load(x), mean);
            K::Lanes::multiply(residual, K::Lanes::splat(self.scale))
        }
    }
}

impl<K: ProductKernel> Epilogue<K::Lanes> for OutputGradientEpilogue<'_, K> {
    #[inline(always)]
    unsafe fn finish_one(&self, row: usize, column: usize, sum: <K::Lanes as Lanes>::Vector) {
        unsafe {
            let output = K::Lanes::add(sum, K::Lanes::load(self.bias.add(column)));
            let row_of_x = self.rows[row.min(self.rows.len() - 1)] * self.n_out;
            let x = self.x.as_ptr().add(row_of_x + column);
            let to = self.to.add(row * self.stride + column);
            let n = self.n_out - column;
            if n >= K::Lanes::LANES {
                K::store_factors(to, self.gradient(x, output));
                return;
            }
            // The row of `x` ends within the register.
            let mut numbers = [0.0; MAX_LANES];
            std::ptr::copy_nonoverlapping(x, numbers.as_mut_ptr(), n);
            let gradient = self.gradient(numbers.as_ptr(), output);
            K::Lanes::store(numbers.as_mut_ptr(), gradient);
            numbers[n..].fill(0.0);
            K::store_factors(to, K::Lanes::load(numbers.as_ptr()));
        }
    }
}
