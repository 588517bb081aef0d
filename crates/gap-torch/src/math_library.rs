//! The math-library switch: lets libtorch's MKL take its fast path on every CPU that can run it.
//!
//! MKL picks slower code on CPUs that are not Intel's, whatever they support. It asks a function of
//! its own; an executable that exports a function of the same name answers in its place. The name
//! is undocumented, so the switch is guarded by the CPU's real features, can be turned off with
//! `AMORTGAP_MATH_SWITCH=off`, and what happened goes into the provenance of every result.
//!
//! The export itself is a linker argument that `gap-build` gives to each package.

use std::fmt;
use std::sync::OnceLock;

/// The environment variable that turns the switch off, with the value `off`.
pub const MKL_SWITCH_ENV_VARIABLE: &str = "AMORTGAP_MATH_SWITCH";

/// Which path libtorch's math library takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MklPath {
    /// The switch is exported and answers yes.
    Switched,
    /// The switch is exported and leaves the library's own choice: turned off, or the CPU lacks
    /// AVX2 or FMA.
    Stock,
    /// This executable does not export the switch, so the library chooses by itself.
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
        let turned_off =
            std::env::var_os(MKL_SWITCH_ENV_VARIABLE).is_some_and(|value| value == "off");
        if turned_off {
            // What the library would have found out by itself.
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

/// Answers MKL's question whether it may use its fast path: 1 for yes.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
pub extern "C" fn mkl_serv_intel_cpu_true() -> i32 {
    i32::from(allows_mkl_fast_path())
}

/// The path that this process takes.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub fn detect_mkl_path() -> MklPath {
    // SAFETY: a look-up by a NUL-terminated name in the symbols of this process.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"mkl_serv_intel_cpu_true".as_ptr()) };
    if !std::ptr::eq(found, mkl_serv_intel_cpu_true as *const libc::c_void) {
        MklPath::NotExported
    } else if allows_mkl_fast_path()
        && std::env::var_os(MKL_SWITCH_ENV_VARIABLE).is_none_or(|value| value != "off")
    {
        MklPath::Switched
    } else {
        MklPath::Stock
    }
}

/// The path that this process takes.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub fn detect_mkl_path() -> MklPath {
    MklPath::NotExported
}
