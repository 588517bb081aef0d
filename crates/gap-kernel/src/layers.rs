//! Affine layers on the way forward: what decoders and encoders share.

use crate::epilogue::HiddenLayerEpilogue;
use crate::lanes::{Lanes, ProductKernel};
use crate::network::Layer;
use crate::packed::{AlignedBuffer, PackedWeight, round_up_to_lanes};
use crate::product::{StridedRows, product};
use gap_spec::Activation;

/// A layer, packed for the way forward.
pub(crate) struct PackedAffineLayer<K: ProductKernel> {
    pub(crate) weight: PackedWeight<K>,  // [in, out]
    pub(crate) bias: AlignedBuffer<f32>, // [out], filled up
}

impl<K: ProductKernel> PackedAffineLayer<K> {
    /// `layer`, with `filler` as the bias of outputs that only fill up a register.
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

/// Takes `input` through the hidden `layers`, keeps their `values`, and gives those of the last one.
///
/// # Safety
///
/// As for [`product`]; each of `values` has `n_rows` rows as long as its packed layer.
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

/// Memory for the hidden values of a tile.
pub(crate) fn allocate_hidden_values<K: ProductKernel>(
    layers: &[PackedAffineLayer<K>],
    n_rows: usize,
) -> Vec<AlignedBuffer<K::Factor>> {
    let widths = layers.iter().map(|layer| layer.weight.width);
    widths
        .map(|width| AlignedBuffer::zeros(n_rows * width))
        .collect()
}

/// Writes `rows` as factors to rows that are `stride` apart.
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
            // SAFETY: from the column on there is a register of both.
            unsafe {
                let values = K::Lanes::load(row.as_ptr().add(column));
                K::store_factors(place.as_mut_ptr().add(column), values);
            }
        }
        // In fixed numbers: a loop of any length would become a call, which takes longer than the work.
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
