//! Affine layers of decoders and encoders, packed for the forward pass.

use crate::epilogue::HiddenLayerEpilogue;
use crate::lanes::{Lanes, ProductKernel};
use crate::network::Layer;
use crate::packed::{AlignedBuffer, PackedWeight, round_up_to_lanes};
use crate::product::{StridedRows, product};
use gap_spec::Activation;

/// A layer, packed for the forward pass.
pub(crate) struct PackedAffineLayer<K: ProductKernel> {
    pub(crate) weight: PackedWeight<K>,  // [in, out]
    pub(crate) bias: AlignedBuffer<f32>, // [out], padded
}

impl<K: ProductKernel> PackedAffineLayer<K> {
    /// Packs `layer`; padding outputs get the bias `filler`.
    pub(crate) fn new(layer: &Layer<'_>, filler: f32) -> Self {
        let (n_in, n_out) = (layer.n_inputs(), layer.n_outputs());
        let mut bias = AlignedBuffer::zeros(round_up_to_lanes::<K::Lanes>(n_out));
        bias.as_mut_slice().fill(filler);
        bias.as_mut_slice()[..n_out].copy_from_slice(layer.bias);
        Self {
            weight: PackedWeight::new(n_in, n_out, |input, output| {
                layer.weight[output * n_in + input]
            }),
            bias,
        }
    }
}

/// Takes `input` through the hidden `layers` and writes their outputs to `values`. Returns the output of the
/// last one, or `input` if there are none.
///
/// # Safety
///
/// As for [`product`]; each of `values` must have room for `n_rows` rows as wide as its packed layer.
#[inline(always)]
pub(crate) unsafe fn through_hidden<K: ProductKernel>(
    layers: &[PackedAffineLayer<K>],
    activation: Activation,
    input: StridedRows<K::Factor>,
    values: &mut [AlignedBuffer<K::Factor>],
    n_rows: usize,
) -> StridedRows<K::Factor> {
    let mut left = input;
    for (layer, values) in layers.iter().zip(values) {
        let stride = layer.weight.width;
        let epilogue = HiddenLayerEpilogue::<K> {
            activation,
            bias: layer.bias.as_slice().as_ptr(),
            to: values.as_mut_slice().as_mut_ptr(),
            stride,
        };
        unsafe { product::<K, _>(left, n_rows, &layer.weight, &epilogue) };
        let first = values.as_slice().as_ptr();
        left = StridedRows { first, stride };
    }
    left
}

/// Allocates memory for the hidden values of `n_rows` rows.
pub(crate) fn allocate_hidden_values<K: ProductKernel>(
    layers: &[PackedAffineLayer<K>],
    n_rows: usize,
) -> Vec<AlignedBuffer<K::Factor>> {
    let widths = layers.iter().map(|layer| layer.weight.width);
    widths
        .map(|width| AlignedBuffer::zeros(n_rows * width))
        .collect()
}

/// Converts `rows` to factors and writes them to `to`, in rows that are `stride` apart.
///
/// # Safety
///
/// As for [`ProductKernel`].
#[inline(always)]
pub(crate) unsafe fn store_rows<'a, K: ProductKernel>(
    rows: impl Iterator<Item = &'a [f32]>,
    to: &mut AlignedBuffer<K::Factor>,
    stride: usize,
) {
    let places = to.as_mut_slice().chunks_exact_mut(stride);
    for (place, row) in places.zip(rows) {
        let whole = row.len() - row.len() % K::Lanes::LANES;
        for column in (0..whole).step_by(K::Lanes::LANES) {
            // SAFETY: from `column` on, both the row and its place hold a whole register.
            unsafe {
                let values = K::Lanes::load(row.as_ptr().add(column));
                K::store_factors(place.as_mut_ptr().add(column), values);
            }
        }
        // These loops have fixed lengths: the compiler would turn a loop of variable length into a call, which
        // takes longer than the copying.
        let (place, row) = (&mut place[whole..], &row[whole..]);
        let (fours, rest) = row.as_chunks::<4>();
        let (four_places, rest_places) = place.split_at_mut(row.len() - rest.len());
        for (place, four) in four_places.chunks_exact_mut(4).zip(fours) {
            for i in 0..4 {
                place[i] = K::to_factor(four[i]);
            }
        }
        for i in 0..3 {
            if let (Some(place), Some(&value)) = (rest_places.get_mut(i), rest.get(i)) {
                *place = K::to_factor(value);
            }
        }
    }
}
