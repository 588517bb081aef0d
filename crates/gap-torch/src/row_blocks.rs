//! Evaluates a network in blocks of rows, all of the same shape and with rows aligned in memory, so that a
//! datapoint gets the same result in any batch.
//!
//! libtorch chooses its kernels by shape, and computes the last elements of an array with other instructions
//! than the rest. The last bits of a row's result can therefore depend on the number of rows in the batch; with
//! blocks of one fixed shape they do not. Blocks of about 100 rows also fit the cache: a 50-200-200-784 decoder
//! and its score took 8.6 µs per row in blocks of 128 rows and 9.8 µs in blocks of 2,048 (2 cores, one thread).
//! A small decoder, 10-64-64-64, was slower in blocks of 128 rows: 0.57 µs per row against 0.48.
//!
//! MKL's stock code path (see [`crate::math_library`]) depends on addresses as well: it sums in another order
//! for rows that do not begin at a multiple of 16 bytes. In `rows · weight`, the rows of the product must be
//! aligned, which [`matmul_into_aligned_rows`] does. In `rows · weightᵀ`, where `weightᵀ` is a view, the rows
//! of the left factor must be aligned, which [`align_rows`] does.

use tch::{Device, Kind, Tensor};

/// The number of rows in a block: a multiple of the length of every vector register, and small enough for a
/// block to fit the cache.
pub const ROWS_PER_BLOCK: i64 = 128;

/// Applies `f` to the rows of `inputs`, each `[N, …]`, in blocks of [`ROWS_PER_BLOCK`] rows, and concatenates
/// the results to `[N, …]`.
///
/// The last block is padded with rows of zeros, whose results are dropped. `f` must compute each row of its
/// result from the same row of its inputs alone.
pub fn map_row_blocks(inputs: &[&Tensor], mut f: impl FnMut(&[Tensor]) -> Tensor) -> Tensor {
    let n_rows = inputs[0].size()[0];
    let mut outputs = Vec::with_capacity((n_rows / ROWS_PER_BLOCK + 1) as usize);
    let mut start = 0;
    // For empty inputs `f` is called once, with padding only, to get the shape of the result.
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

/// Returns the mean over samples, `[S, …] -> […]`, summed in the order of the samples.
///
/// libtorch's own reductions choose the order by shape, which would make the last bits of a datapoint's mean
/// depend on the batch.
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

/// Returns a copy of `rows`, `[N, …]`, padded with rows of zeros to a whole number of blocks. If `rows` is a
/// matrix, the rows of the copy are aligned.
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

/// The index of the first row of each block of `tensor`, which must be a whole number of blocks.
pub fn block_starts(tensor: &Tensor) -> impl Iterator<Item = i64> + use<> {
    (0..tensor.size()[0] / ROWS_PER_BLOCK).map(|block| block * ROWS_PER_BLOCK)
}

/// A view of the block of `tensor` whose first row is `start`.
pub fn block(tensor: &Tensor, start: i64) -> Tensor {
    tensor.narrow(0, start, ROWS_PER_BLOCK)
}

/// The address of an aligned row is a multiple of this many bytes; MKL's stock path gives the same bits for all
/// such rows.
const ROW_ALIGNMENT_BYTES: i64 = 16;

/// The smallest distance between rows, in elements, that is at least `width` and keeps all rows aligned.
fn aligned_row_stride(width: i64, kind: Kind) -> i64 {
    let numbers = ROW_ALIGNMENT_BYTES / kind.elt_size_in_bytes() as i64;
    (width + numbers - 1) / numbers * numbers
}

/// An uninitialised matrix with aligned rows, `[N, W]`.
pub fn empty_aligned_rows(n_rows: i64, width: i64, kind: Kind, device: Device) -> Tensor {
    let memory = Tensor::empty([n_rows, aligned_row_stride(width, kind)], (kind, device));
    memory.narrow(1, 0, width)
}

/// An uninitialised matrix with aligned rows, of the shape, kind and device of `matrix`.
pub fn empty_aligned_like(matrix: &Tensor) -> Tensor {
    let (n_rows, width) = (matrix.size()[0], matrix.size()[1]);
    empty_aligned_rows(n_rows, width, matrix.kind(), matrix.device())
}

/// Returns `rows`, `[N, W]`, themselves if their stride keeps them aligned, and otherwise a copy with aligned
/// rows. Differentiable.
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

/// Returns `rows · weight` as a matrix with aligned rows: `[N, I], [I, O] -> [N, O]`. Not differentiable.
pub fn matmul_into_aligned_rows(rows: &Tensor, weight: &Tensor) -> Tensor {
    let (n_rows, width) = (rows.size()[0], weight.size()[1]);
    let product = empty_aligned_rows(n_rows, width, rows.kind(), rows.device());
    rows.mm_out(&product, weight)
}

fn zero_padded_block(input: &Tensor, start: i64, rows: i64) -> Tensor {
    let part = input.narrow(0, start, rows);
    if rows == ROWS_PER_BLOCK {
        // Kernels are chosen by stride too, so every block must be contiguous.
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
        // MKL's stock path depends on addresses for narrow results and for odd widths.
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
