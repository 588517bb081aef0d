//! Networks on the kernels of [`gap_kernel`]: on the processor and in `f32`, in place of libtorch.

mod conditioned;
mod encoder;
mod learner;
mod packing;

pub(crate) use conditioned::DecoderOnKernels;
pub use encoder::PackedEncoder;
pub(crate) use learner::KernelLearner;
pub(crate) use packing::{pack_decoder, pack_linear_gaussian};
