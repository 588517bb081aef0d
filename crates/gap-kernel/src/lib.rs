//! Small perceptrons without libtorch: a decoder's log likelihood and score in one pass over rows, an
//! encoder's output, and the training of both.
//!
//! # Why a library's matrix products are not enough
//!
//! Inference evaluates `∇_z log p(x, z)` at a thousand rows, over and over. With library calls, a decoder of
//! three layers takes three products forward and three back. Biases, activations and their derivatives are
//! applied between the products, in separate loops over whole layers in memory. The layers are narrow, so those
//! loops take a considerable part of the time. Here a tile of [`TILE_ROWS`] rows goes through all layers while
//! it is in cache, and the work between two products is done on sums that are still in registers.
//!
//! # How it works, from the inside out
//!
//! - `lanes` has the operations on registers: arithmetic on 16 (AVX-512) or 8 (AVX2) `f32` at a time.
//!   `functions` builds exponential, sigmoid, tanh and logarithm from them.
//! - `packed` stores a weight in the order in which a product reads it: in panels of up to three registers of
//!   columns, and within a panel by depth (the index that a product sums over).
//! - `product` multiplies a block of rows by a panel. The sums, 8 rows x 3 registers (4 x 2 for AVX2), stay
//!   in registers; each step of depth loads the panel's registers and multiplies them by one number of each
//!   row. A finished sum goes to an `epilogue`, which adds the bias, applies the activation, and so on.
//! - `layers` holds what encoders and decoders share. `forward` computes an encoder's output; in its first
//!   layer, rows of zeros and ones use lookup tables of sums (`binary_rows`, `subset_sums`). `decoder` is the
//!   whole pass: forward through the layers, `mean − x`, and back, with one product and its epilogue for each
//!   layer and direction.
//! - `training` keeps weights in 32 bits, `[in, out]`. It takes a batch forward and back, and takes one step of
//!   Adam. It needs three products: forward, backward, and the gradient with respect to the weight. An
//!   instruction reads 32 bits of a column at a time, which is one 32-bit factor or two 16-bit factors of
//!   neighbouring depth, so each product needs its factors in an order of its own. In full precision, the
//!   backward product needs a transposed copy of the weight. With 16-bit factors, the forward and the backward
//!   product each need a reordered copy, and the weight's gradient needs the batch in pairs of rows. The
//!   weight's gradient is never stored: as soon as a block of it is summed up, the epilogue takes the step of
//!   [`adam`].
//! - `paths` has the traits of packed networks, which hide the instruction set and the precision that a
//!   network is packed for; `fused` chooses among their implementations by the [`Instructions`] that it is
//!   given. An instruction of `AVX512_BF16` adds two products of 16-bit factors to a sum: twice as many
//!   products a second, with a relative error near 1e-3.
//!
//! # What may be relied on
//!
//! A row's result has the same bits in any batch: every row is summed in the same order, wherever it stands
//! in its tile. In full precision, the results of the two instruction sets and those of libtorch differ in
//! the last bits of `f32` (tests bound the differences). Training steps have the same bits each time, and
//! padding rows have no effect on them.

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

/// The number of rows that go through all layers together.
pub const TILE_ROWS: usize = 64;
