//! The vector instructions of the kernels: the best that this processor supports, or those that the user
//! sets.

use std::ffi::OsStr;
use std::fmt;

/// The environment variable that sets the kernels' vector instructions: `avx512`, `avx2`, or `off`, which
/// leaves everything to libtorch.
pub const ENVIRONMENT_VARIABLE: &str = "AMORTGAP_SIMD";

/// The vector instructions that a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// AVX-512 F, and for 16-bit factors `AVX512_BF16`, if the processor supports it.
    Avx512,
    /// AVX2 and FMA.
    Avx2,
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
        })
    }
}

/// Why the setting of the environment variable cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstructionsError {
    /// The setting is not one of the known words.
    #[error("{ENVIRONMENT_VARIABLE} is `{0}`; set it to avx512, avx2 or off, or unset it")]
    Unknown(String),
    /// This processor does not support the instructions.
    #[error(
        "{ENVIRONMENT_VARIABLE} is `{0}`, which this processor does not have; set it to off, or unset it"
    )]
    Missing(Instructions),
}

impl Instructions {
    /// Returns the instructions that the environment asks for, by default the best of this processor; `None`
    /// leaves everything to libtorch.
    ///
    /// # Errors
    ///
    /// [`InstructionsError`] if the setting is unknown, or not supported by this processor.
    pub fn from_environment() -> Result<Option<Self>, InstructionsError> {
        let asked = std::env::var_os(ENVIRONMENT_VARIABLE);
        Self::from_setting(asked.as_deref().map(OsStr::to_string_lossy).as_deref())
    }

    /// Reads the setting `asked`; nothing or an empty word stands for the best of this processor.
    fn from_setting(asked: Option<&str>) -> Result<Option<Self>, InstructionsError> {
        let path = match asked {
            None | Some("") => return Ok(Self::best_supported()),
            Some("off") => return Ok(None),
            Some("avx512") => Self::Avx512,
            Some("avx2") => Self::Avx2,
            Some(other) => return Err(InstructionsError::Unknown(other.to_owned())),
        };
        if path.is_supported() {
            Ok(Some(path))
        } else {
            Err(InstructionsError::Missing(path))
        }
    }

    /// A label of the arithmetic that results depend on: `off`, or the instructions, with `+bf16` if they have
    /// products of 16-bit factors.
    pub fn arithmetic_label(path: Option<Self>) -> String {
        match path {
            None => "off".to_owned(),
            Some(path) if path.has_bf16() => format!("{path}+bf16"),
            Some(path) => path.to_string(),
        }
    }

    /// The best instructions that this processor supports.
    pub(crate) fn best_supported() -> Option<Self> {
        [Self::Avx512, Self::Avx2]
            .into_iter()
            .find(|path| path.is_supported())
    }

    /// Whether this processor supports these instructions.
    pub fn is_supported(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        };
        #[cfg(not(target_arch = "x86_64"))]
        return false;
    }

    /// Whether there are products of 16-bit factors with these instructions, on this processor.
    pub fn has_bf16(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self == Self::Avx512
            && is_x86_feature_detected!("avx512bf16")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        #[cfg(not(target_arch = "x86_64"))]
        return false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_path_or_an_error_that_names_the_cure() {
        assert_eq!(Instructions::from_setting(Some("off")), Ok(None));
        assert_eq!(
            Instructions::from_setting(None),
            Instructions::from_setting(Some(""))
        );
        let error = Instructions::from_setting(Some("sse9")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "AMORTGAP_SIMD is `sse9`; set it to avx512, avx2 or off, or unset it"
        );
        for path in [Instructions::Avx512, Instructions::Avx2] {
            let asked = Instructions::from_setting(Some(&path.to_string()));
            assert_eq!(asked.is_ok(), path.is_supported());
        }
    }
}
