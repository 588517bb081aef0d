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
pub use elements::{doubles, floats};
pub use noise::{NoiseStream, SOBOL_POINTS, SeedKey, sobol_normal_points, uniform_permutation};
pub use row_blocks::{
    BLOCK_ROWS, aligned_like, aligned_memory, aligned_rows, block, block_starts, map_row_blocks,
    mean_over_samples, product, whole_blocks,
};
