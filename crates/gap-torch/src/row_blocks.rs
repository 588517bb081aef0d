//! Runs a network over rows in blocks of one fixed shape, whose rows all begin aligned.
//!
//! libtorch picks its kernels by shape, and finishes an array with other instructions than it began
//! with: the last bits of a row can then depend on how many rows stand beside it. With blocks of
//! one shape they cannot, so a datapoint gets the same result in any batch. Blocks near 100 rows
//! also stay in cache: a 50-200-200-784 decoder with its score took 8.6 µs a row at 128 rows and
//! 9.8 µs at 2,048 (2 cores, one thread), a 10-64-64-64 one 0.57 against 0.48.
//!
//! MKL's stock path (see [`crate::math_library`]) looks at addresses too: where a row does not begin
//! at a multiple of 16 bytes, it adds up in another order. In `rows · weight` that concerns the rows
//! of the result ([`matmul_into_aligned_rows`] aligns them), in `rows · weightᵀ` without a copy of the weight
//! those of the left factor ([`align_rows`]).

use tch::{Device, Kind, Tensor};

/// Rows in a block: a multiple of every vector width, and small enough for the cache.
pub const ROWS_PER_BLOCK: i64 = 128;

/// Applies `f` to the rows of `inputs` (each `[N, …]`) in blocks of [`ROWS_PER_BLOCK`], and puts the
/// `[N, …]` results together.
///
/// The last block is filled up with zeros, and what comes of them is cut off. `f` must treat rows
/// separately.
pub fn map_row_blocks(inputs: &[&Tensor], mut f: impl FnMut(&[Tensor]) -> Tensor) -> Tensor {
    let n_rows = inputs[0].size()[0];
    let mut outputs = Vec::with_capacity((n_rows / ROWS_PER_BLOCK + 1) as usize);
    let mut start = 0;
    // An empty input still goes through `f` once, which gives the result its shape.
    while start < n_rows || outputs.is_empty() {
        let rows = ROWS_PER_BLOCK.min(n_rows - start);
        let block: Vec<Tensor> = inputs
            .iter()
            .map(|input| zero_padded_block(input, start, rows))
            .collect();
        outputs.push(f(&block).narrow(0, 0, rows));
        start += ROWS_PER_BLOCK;
    }
    if outputs.len() == 1 {
        return outputs.remove(0).contiguous();
    }
    Tensor::cat(&outputs, 0)
}

/// The mean over samples, added up in the order of the samples: `[S, …] -> […]`.
///
/// libtorch's own reductions choose an order by shape, so that a datapoint's last bits would depend
/// on the batch.
///
/// # Panics
///
/// If there are no samples.
pub fn mean_over_samples(values: &Tensor) -> Tensor {
    let n_samples = values.size()[0];
    assert!(n_samples > 0, "a mean needs at least one sample");
    let mut sum = values.get(0).copy();
    for s in 1..n_samples {
        sum += values.get(s);
    }
    sum / n_samples as f64
}

/// `rows` (`[N, …]`) in fresh memory, filled up with zeros to whole blocks; matrices have aligned
/// rows.
pub fn pad_to_whole_blocks(rows: &Tensor) -> Tensor {
    let mut shape = rows.size();
    let n_rows = shape[0];
    shape[0] = (n_rows + ROWS_PER_BLOCK - 1) / ROWS_PER_BLOCK * ROWS_PER_BLOCK;
    let blocks = match shape[..] {
        [whole, width] => empty_aligned_rows(whole, width, rows.kind(), rows.device()).zero_(),
        _ => Tensor::zeros(shape, (rows.kind(), rows.device())),
    };
    blocks.narrow(0, 0, n_rows).copy_(rows);
    blocks
}

/// Where the blocks of `tensor` (of whole blocks) begin.
pub fn block_starts(tensor: &Tensor) -> impl Iterator<Item = i64> + use<> {
    (0..tensor.size()[0] / ROWS_PER_BLOCK).map(|block| block * ROWS_PER_BLOCK)
}

/// The block of `tensor` that begins at `start`, sharing its memory.
pub fn block(tensor: &Tensor, start: i64) -> Tensor {
    tensor.narrow(0, start, ROWS_PER_BLOCK)
}

/// Where the stock path wants its rows to begin, bytes.
const ROW_ALIGNMENT_BYTES: i64 = 16;

/// The least row stride that holds `width` numbers and keeps rows aligned.
fn aligned_row_stride(width: i64, kind: Kind) -> i64 {
    let numbers = ROW_ALIGNMENT_BYTES / kind.elt_size_in_bytes() as i64;
    (width + numbers - 1) / numbers * numbers
}

/// Uninitialised memory with aligned rows: `[N, W]`.
pub fn empty_aligned_rows(n_rows: i64, width: i64, kind: Kind, device: Device) -> Tensor {
    let memory = Tensor::empty([n_rows, aligned_row_stride(width, kind)], (kind, device));
    memory.narrow(1, 0, width)
}

/// The same for rows like those of `matrix`.
pub fn empty_aligned_like(matrix: &Tensor) -> Tensor {
    let (n_rows, width) = (matrix.size()[0], matrix.size()[1]);
    empty_aligned_rows(n_rows, width, matrix.kind(), matrix.device())
}

/// `rows` (`[N, W]`) themselves if they are aligned, or a copy that is: differentiable.
pub fn align_rows(rows: &Tensor) -> Tensor {
    let [stride, _] = rows.stride()[..] else {
        panic!("rows are a matrix");
    };
    let width = rows.size()[1];
    if stride == aligned_row_stride(stride, rows.kind()) {
        return rows.shallow_clone();
    }
    let padded = rows.constant_pad_nd([0, aligned_row_stride(width, rows.kind()) - width]);
    padded.narrow(1, 0, width)
}

/// `rows · weight`, into aligned rows: `[N, I], [I, O] -> [N, O]`. Not differentiable.
pub fn matmul_into_aligned_rows(rows: &Tensor, weight: &Tensor) -> Tensor {
    let (n_rows, width) = (rows.size()[0], weight.size()[1]);
    let product = empty_aligned_rows(n_rows, width, rows.kind(), rows.device());
    rows.mm_out(&product, weight)
}

fn zero_padded_block(input: &Tensor, start: i64, rows: i64) -> Tensor {
    let part = input.narrow(0, start, rows);
    if rows == ROWS_PER_BLOCK {
        // A fresh copy where needed: kernels also look at alignment and strides.
        return part.contiguous();
    }
    let mut shape = input.size();
    shape[0] = ROWS_PER_BLOCK - rows;
    Tensor::cat(
        &[part, Tensor::zeros(shape, (input.kind(), input.device()))],
        0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NoiseStream, SeedKey};
    use tch::{Device, Kind};

    #[test]
    fn a_row_has_the_same_bits_in_any_batch() {
        let mut noise = NoiseStream::new(SeedKey::root(1), &[0], Device::Cpu);
        // Narrow results and odd widths are what the stock path treats by their address.
        for (inputs, outputs) in [
            (2, 3),
            (10, 4),
            (10, 64),
            (33, 7),
            (64, 10),
            (64, 64),
            (200, 784),
            (500, 9),
            (784, 200),
            (784, 500),
        ] {
            let rows = noise.normal(700, inputs).view([700, inputs]);
            let weights = noise.normal(inputs, outputs).view([inputs, outputs]);
            let transposed = weights.tr().contiguous();
            let layer = |rows: &Tensor| {
                map_row_blocks(&[rows], |block| {
                    let pre = matmul_into_aligned_rows(&block[0], &weights);
                    let by_transposed = align_rows(&block[0]).mm(&transposed.tr());
                    pre.tanh() + pre.sigmoid() + pre.softplus() + by_transposed
                })
            };
            let together = layer(&rows);
            for (start, n) in [(0, 1), (3, 2), (5, 127), (31, 128), (100, 129), (9, 600)] {
                let alone = layer(&rows.narrow(0, start, n).copy());
                assert!(
                    alone.equal(&together.narrow(0, start, n)),
                    "{inputs}x{outputs}: rows {start}..{start}+{n} changed"
                );
            }
        }
    }

    #[test]
    fn a_mean_over_samples_has_the_same_bits_in_any_batch() {
        let ids: Vec<u64> = (0..40).collect();
        let values = NoiseStream::new(SeedKey::root(2), &ids, Device::Cpu).normal(37, 3);
        let together = mean_over_samples(&values);
        let library = values.mean_dim([0_i64].as_slice(), false, None);
        assert!((&together - library).abs().max().double_value(&[]) < 1e-6);
        for b in [0, 11, 39] {
            let alone = mean_over_samples(&values.narrow(1, b, 1).copy());
            assert!(alone.equal(&together.narrow(0, b, 1)), "datapoint {b}");
        }
    }

    #[test]
    fn no_rows_give_no_rows() {
        let none = Tensor::zeros([0, 4], (Kind::Float, Device::Cpu));
        assert_eq!(map_row_blocks(&[&none], |b| b[0].tanh()).size(), [0, 4]);
    }
}
