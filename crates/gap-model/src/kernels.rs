//! Networks that the kernels of [`gap_kernel`] compute instead of libtorch, in `f32` on the CPU.

mod conditioned;
mod encoder;
mod learner;
mod packing;

pub(crate) use conditioned::DecoderOnKernels;
pub use encoder::PackedEncoder;
pub(crate) use learner::KernelLearner;
pub(crate) use packing::{pack_decoder, pack_linear_gaussian};
