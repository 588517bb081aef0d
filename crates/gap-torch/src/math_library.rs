//! The math-library switch: makes libtorch's MKL use its fast code path on every CPU that supports it.
//!
//! MKL chooses slower code on CPUs that are not made by Intel, whatever instructions they support. It finds out
//! whether the CPU is Intel's by calling a function of its own; if an executable exports a function of the same
//! name, MKL calls that one instead. This module defines such a function: the switch. MKL does not document the
//! name, so the switch is careful: it checks that the CPU has the instructions, `AMORTGAP_MATH_SWITCH=off`
//! turns it off, and the provenance of every result says which code path MKL took.
//!
//! The function is exported by a linker argument, which `gap-build` adds to each package.

use std::ffi::OsStr;
use std::fmt;
use std::sync::OnceLock;

/// The environment variable whose value `off` turns the switch off.
pub const MKL_SWITCH_ENV_VARIABLE: &str = "AMORTGAP_MATH_SWITCH";

/// The environment variable has a value that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MKL_SWITCH_ENV_VARIABLE} is `{0}`; set it to off, or unset it")]
pub struct SwitchError(String);

/// Returns whether the environment turns the switch off. The environment is read only once.
///
/// # Errors
///
/// [`SwitchError`] if the value of the variable is neither `off` nor empty. Programs must check this when they
/// start: the switch itself, whose caller MKL knows no errors, takes such a value for an empty one.
pub fn is_switch_turned_off() -> Result<bool, SwitchError> {
    static IS_TURNED_OFF: OnceLock<Result<bool, SwitchError>> = OnceLock::new();
    IS_TURNED_OFF
        .get_or_init(|| turns_off(std::env::var_os(MKL_SWITCH_ENV_VARIABLE).as_deref()))
        .clone()
}

fn turns_off(value: Option<&OsStr>) -> Result<bool, SwitchError> {
    match value {
        Some(value) if value == "off" => Ok(true),
        Some(value) if !value.is_empty() => Err(SwitchError(value.to_string_lossy().into_owned())),
        _ => Ok(false),
    }
}

/// The code path of libtorch's math library, and what decides it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MklPath {
    /// The switch is exported and makes MKL use its fast path.
    Switched,
    /// The switch is exported but does not make MKL use its fast path. Either it is turned off, and answers as
    /// MKL's own function would, or the CPU lacks AVX2 or FMA, and it answers that the fast path is not
    /// allowed.
    Stock,
    /// This executable does not export the switch, so MKL chooses its path by itself.
    NotExported,
}

impl fmt::Display for MklPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Switched => "switched",
            Self::Stock => "stock",
            Self::NotExported => "not-exported",
        })
    }
}

#[cfg(target_arch = "x86_64")]
fn allows_mkl_fast_path() -> bool {
    static ALLOWS_MKL_FAST_PATH: OnceLock<bool> = OnceLock::new();
    *ALLOWS_MKL_FAST_PATH.get_or_init(|| {
        if is_switch_turned_off() == Ok(true) {
            // This is what MKL's own function would answer.
            return is_intel_cpu();
        }
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    })
}

#[cfg(target_arch = "x86_64")]
fn is_intel_cpu() -> bool {
    let leaf = std::arch::x86_64::__cpuid(0);
    [leaf.ebx, leaf.edx, leaf.ecx] == [*b"Genu", *b"ineI", *b"ntel"].map(u32::from_le_bytes)
}

/// Tells MKL, which calls this function, whether to use its fast path: 1 for yes, 0 for no.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
pub extern "C" fn mkl_serv_intel_cpu_true() -> i32 {
    i32::from(allows_mkl_fast_path())
}

/// Returns the code path that MKL uses in this process.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub fn detect_mkl_path() -> MklPath {
    // SAFETY: the name is NUL-terminated, and the call only looks it up in this process's symbols.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"mkl_serv_intel_cpu_true".as_ptr()) };
    if !std::ptr::eq(found, mkl_serv_intel_cpu_true as *const libc::c_void) {
        MklPath::NotExported
    } else if allows_mkl_fast_path() && is_switch_turned_off() != Ok(true) {
        MklPath::Switched
    } else {
        MklPath::Stock
    }
}

/// Returns the code path that MKL uses in this process.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub fn detect_mkl_path() -> MklPath {
    MklPath::NotExported
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_off_or_an_error_that_names_the_variable_and_the_cure() {
        assert_eq!(turns_off(None), Ok(false));
        assert_eq!(turns_off(Some(OsStr::new(""))), Ok(false));
        assert_eq!(turns_off(Some(OsStr::new("off"))), Ok(true));
        let error = turns_off(Some(OsStr::new("OFF"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "AMORTGAP_MATH_SWITCH is `OFF`; set it to off, or unset it"
        );
    }
}
