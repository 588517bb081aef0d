//! Small perceptrons without libtorch: a decoder's log likelihood and score in one pass over rows, an
//! encoder's output, and how either learns.
//!
//! # Why a library's matrix products are not enough
//!
//! Inference asks for `∇_z log p(x, z)` at a thousand rows, over and over. With library calls that is
//! three products forward, three back, and between them passes over the memory of whole layers for
//! biases, activations and their derivatives. A decoder's layers are narrow, so those passes take a
//! good part of the time. Here some [`TILE_ROWS`] rows go through all layers while they are in cache,
//! and what lies between two products is done on sums that are still in registers.
//!
//! # How it works, from the inside out
//!
//! - `lanes` says what one register can do: arithmetic on 16 (AVX-512) or 8 (AVX2) `f32` at a time.
//!   `functions` builds exponential, sigmoid, tanh and logarithm from it.
//! - `packed` keeps a weight the way that a product reads it: panels of up to three registers'
//!   columns, one depth after the other.
//! - `product` takes a block of rows through a panel: 8 rows x 3 registers of sums (4 x 2 for AVX2)
//!   stay in registers, each step of depth loads three factors of the panel and multiplies them by one
//!   number of each row. A finished sum goes to an `epilogue`, which adds the bias, applies the
//!   activation, and so on.
//! - `layers` holds what all networks share, `forward` takes an encoder's rows through it (those of
//!   zeros and ones through tables of sums in the first layer: `binary_rows`, `subset_sums`), and
//!   `decoder` is the whole pass: forward through the layers, `mean − x`, and back, each layer one product
//!   with its epilogue.
//! - `training` keeps weights in 32 bits, `[in, out]`, and takes a batch forward, back, and one step
//!   up with Adam. Each of its three products has its own order of factors, since an instruction takes
//!   32 bits of a column: one factor, or two of neighbouring depth. Full precision needs a transposed
//!   copy of the weight for the way back; 16-bit factors need two copies, and batches in pairs of rows
//!   for the gradient in the weight. That gradient is never in memory: as soon as a block of it is
//!   summed up, [`adam`] takes the step in the epilogue.
//! - `paths` has the traits that packed networks answer through, whichever registers they were packed
//!   for; `fused` chooses among them by the [`Instructions`] that it is given. With `AVX512_BF16` an
//!   instruction adds up two products of 16-bit factors: twice as many a second, with a relative error
//!   near 1e-3.
//!
//! # What may be relied on
//!
//! A row's result has the same bits in any batch: every row sums up in the same order, wherever it
//! stands in its tile. Paths differ from one another in the last bits of `f32`, as do they from
//! libtorch (tests hold them together). Steps of learning have the same bits each time, and rows that
//! only fill up a block count for nothing in them.

pub mod adam;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod binary_rows;
#[cfg(target_arch = "x86_64")]
mod decoder;
#[cfg(target_arch = "x86_64")]
mod epilogue;
mod exponential;
#[cfg(target_arch = "x86_64")]
mod forward;
#[cfg(target_arch = "x86_64")]
mod functions;
mod fused;
pub mod instructions;
mod lanes;
#[cfg(target_arch = "x86_64")]
mod layers;
mod network;
mod packed;
mod paths;
#[cfg(target_arch = "x86_64")]
mod product;
#[cfg(target_arch = "x86_64")]
mod subset_sums;
mod training;

pub use exponential::exponentials;
pub use fused::{FusedConditionedDecoder, FusedDecoder, FusedForward};
pub use gap_spec::{Activation, Precision};
pub use instructions::Instructions;
pub use network::{KernelLikelihood, Layer, Network};
pub use paths::DecoderOutputs;
pub use training::{FusedTraining, LikelihoodTarget};

/// Rows that go through all layers together.
pub const TILE_ROWS: usize = 64;
