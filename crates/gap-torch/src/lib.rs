//! libtorch discipline: the only crate that may touch libtorch's global state.
//!
//! Randomness is a value ([`SeedKey`], [`NoiseStream`]), sizes are read by name ([`dims()`]), a row's
//! result does not depend on its neighbours ([`map_row_blocks`]), the
//! device and the thread count are chosen once ([`device`]), and weights travel as files with a
//! digest ([`checkpoint`]). The math-library switch ([`math_library`]) lives here, because every
//! executable that computes must link it.

pub mod checkpoint;
pub mod device;
mod dims;
mod elements;
pub mod math_library;
mod noise;
mod row_blocks;

pub use dims::{DimsError, dims};
pub use elements::{to_f32_values, to_f64_values};
pub use noise::{MAX_SOBOL_POINTS, NoiseStream, SeedKey, sobol_normal_points, uniform_permutation};
pub use row_blocks::{
    ROWS_PER_BLOCK, align_rows, block, block_starts, empty_aligned_like, empty_aligned_rows,
    map_row_blocks, matmul_into_aligned_rows, mean_over_samples, pad_to_whole_blocks,
};
