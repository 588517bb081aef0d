//! Which vector instructions the kernels take: the best of this processor, or what the user says.

use std::fmt;

/// The environment variable that holds the kernels to a path: `avx512`, `avx2` or `off`.
pub const ENVIRONMENT_VARIABLE: &str = "AMORTGAP_SIMD";

/// A path through the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// AVX-512 F, and `AVX512_BF16` where 16-bit factors are asked for and there are such.
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

/// The environment variable asks for what there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstructionsError {
    /// No such path.
    #[error("{ENVIRONMENT_VARIABLE} is `{0}`; set it to avx512, avx2 or off, or unset it")]
    Unknown(String),
    /// The processor lacks it.
    #[error(
        "{ENVIRONMENT_VARIABLE} is `{0}`, which this processor does not have; set it to off, or unset it"
    )]
    Missing(Instructions),
}

impl Instructions {
    /// What the environment asks for, or the best of this processor; `None` leaves everything to libtorch.
    ///
    /// # Errors
    ///
    /// [`InstructionsError`] if the environment asks for what there is not.
    pub fn from_environment() -> Result<Option<Self>, InstructionsError> {
        Self::from_setting(std::env::var(ENVIRONMENT_VARIABLE).ok().as_deref())
    }

    /// The path that the word `asked` stands for.
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

    /// What results depend on: the path, and whether it has products of 16-bit factors.
    pub fn arithmetic_label(path: Option<Self>) -> String {
        match path {
            None => "off".to_owned(),
            Some(path) if path.has_bf16() => format!("{path}+bf16"),
            Some(path) => path.to_string(),
        }
    }

    /// The best of this processor.
    pub(crate) fn best_supported() -> Option<Self> {
        [Self::Avx512, Self::Avx2]
            .into_iter()
            .find(|path| path.is_supported())
    }

    /// Whether this processor has it.
    pub fn is_supported(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        };
        #[cfg(not(target_arch = "x86_64"))]
        return false;
    }

    /// Whether there are products of 16-bit factors on this path.
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
