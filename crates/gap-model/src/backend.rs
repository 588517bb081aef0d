//! What computes perceptrons: fused kernels, or libtorch.
//!
//! A network carries its backend as a value, and everything that is made from it (packed decoders,
//! encoders, training steps) asks the network. Only [`Backend::from_environment`] looks at the process.

use gap_kernel::Instructions;
use gap_kernel::instructions::InstructionsError;
use std::fmt;

/// What computes a perceptron in `f32` on the processor. Other networks are always libtorch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Fused kernels with these vector instructions, or libtorch where this processor lacks them.
    Kernels(Instructions),
    /// libtorch.
    Libtorch,
}

impl Backend {
    /// The environment variable that asks for one: `avx512`, `avx2` or `off`.
    pub const ENVIRONMENT_VARIABLE: &str = gap_kernel::instructions::ENVIRONMENT_VARIABLE;

    /// What the environment asks for, or the best of this processor.
    ///
    /// # Errors
    ///
    /// [`InstructionsError`] if it asks for what there is not.
    pub fn from_environment() -> Result<Self, InstructionsError> {
        let instructions = Instructions::from_environment()?;
        Ok(instructions.map_or(Self::Libtorch, Self::Kernels))
    }

    /// Every backend of this processor.
    pub fn all_supported() -> Vec<Self> {
        let paths = [Instructions::Avx512, Instructions::Avx2].into_iter();
        let kernels = paths.filter(|path| path.is_supported()).map(Self::Kernels);
        kernels.chain([Self::Libtorch]).collect()
    }

    /// The vector instructions of the kernels.
    pub const fn instructions(self) -> Option<Instructions> {
        match self {
            Self::Kernels(instructions) => Some(instructions),
            Self::Libtorch => None,
        }
    }

    /// Whether it multiplies 16-bit factors where they are asked for.
    pub fn has_half_precision(self) -> bool {
        self.instructions().is_some_and(Instructions::has_bf16)
    }

    /// What results depend on: `off` for libtorch, else the instructions and whether they multiply
    /// 16-bit factors.
    pub fn arithmetic_label(self) -> String {
        Instructions::arithmetic_label(self.instructions())
    }
}

/// What the environment asks for. A program refuses a wrong wish when it starts; where nobody did,
/// libtorch computes.
impl Default for Backend {
    fn default() -> Self {
        Self::from_environment().unwrap_or(Self::Libtorch)
    }
}

/// The word that asks for it.
impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernels(instructions) => instructions.fmt(f),
            Self::Libtorch => f.pad("off"),
        }
    }
}
