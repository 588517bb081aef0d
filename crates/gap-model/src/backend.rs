//! What computes perceptrons: fused kernels, or libtorch.
//!
//! A network carries its backend as a value, which everything made from the network (packed decoders, encoders,
//! training steps) uses as well. Only [`Backend::from_environment`] reads the environment.

use gap_kernel::Instructions;
use gap_kernel::instructions::InstructionsError;
use std::fmt;

/// What computes perceptrons in `f32` on the CPU. All other networks are computed by libtorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Fused kernels with these vector instructions, or libtorch where this processor lacks them.
    Kernels(Instructions),
    /// libtorch.
    Libtorch,
}

impl Backend {
    /// The environment variable that sets the backend: `avx512`, `avx2`, or `off` for libtorch.
    pub const ENVIRONMENT_VARIABLE: &str = gap_kernel::instructions::ENVIRONMENT_VARIABLE;

    /// The backend that the environment asks for, or else the best that this processor supports.
    ///
    /// # Errors
    ///
    /// [`InstructionsError`] if the environment asks for an unknown backend, or for instructions that this
    /// processor lacks.
    pub fn from_environment() -> Result<Self, InstructionsError> {
        let instructions = Instructions::from_environment()?;
        Ok(instructions.map_or(Self::Libtorch, Self::Kernels))
    }

    /// Every backend that this processor supports.
    pub fn all_supported() -> Vec<Self> {
        let paths = [Instructions::Avx512, Instructions::Avx2].into_iter();
        let kernels = paths.filter(|path| path.is_supported()).map(Self::Kernels);
        kernels.chain([Self::Libtorch]).collect()
    }

    /// The vector instructions of the kernels; `None` for libtorch.
    pub const fn instructions(self) -> Option<Instructions> {
        match self {
            Self::Kernels(instructions) => Some(instructions),
            Self::Libtorch => None,
        }
    }

    /// Whether the backend can compute products of 16-bit operands.
    pub fn has_half_precision(self) -> bool {
        self.instructions().is_some_and(Instructions::has_bf16)
    }

    /// A label for the arithmetic that results depend on: `off` for libtorch, otherwise the instructions,
    /// with `+bf16` if they include products of 16-bit operands.
    pub fn arithmetic_label(self) -> String {
        Instructions::arithmetic_label(self.instructions())
    }
}

/// The backend of [`Backend::from_environment`], or libtorch if that returns an error. Programs call that
/// function when they start, and report the error there.
impl Default for Backend {
    fn default() -> Self {
        Self::from_environment().unwrap_or(Self::Libtorch)
    }
}

/// The value of [`Backend::ENVIRONMENT_VARIABLE`] that asks for this backend.
impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernels(instructions) => instructions.fmt(f),
            Self::Libtorch => f.pad("off"),
        }
    }
}
