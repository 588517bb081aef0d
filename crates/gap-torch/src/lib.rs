//! Rules for the use of libtorch, and the only crate that may change libtorch's global state.
//!
//! - Randomness comes from explicit keys and streams ([`SeedKey`], [`NoiseStream`]).
//! - The sizes of a tensor are read together with the names of its axes ([`dims()`]).
//! - A row's result does not depend on the other rows of its batch ([`map_row_blocks`]).
//! - The device and the number of threads are chosen once ([`device`]).
//! - Weights are stored in files and identified by a digest ([`checkpoint`]).
//! - libtorch's error messages are read in one place ([`error_message`]).
//!
//! The math-library switch ([`math_library`]) is in this crate because every executable that uses libtorch must
//! link it.

pub mod checkpoint;
pub mod device;
mod dims;
mod elements;
pub mod error_message;
pub mod math_library;
mod noise;
mod row_blocks;

pub use dims::{DimsError, dims};
pub use elements::{to_element_values, to_f32_values, to_f64_values};
pub use noise::{MAX_SOBOL_POINTS, NoiseStream, SeedKey, sobol_normal_points, uniform_permutation};
pub use row_blocks::{
    ROWS_PER_BLOCK, align_rows, block, block_starts, empty_aligned_like, empty_aligned_rows,
    map_row_blocks, matmul_into_aligned_rows, mean_over_samples, pad_to_whole_blocks,
};
