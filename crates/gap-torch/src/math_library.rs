//! The math-library switch: makes libtorch's MKL use its fast code path on every CPU that supports it.
//!
//! MKL chooses slower code on CPUs that are not made by Intel, whatever instructions they support. It finds out
//! whether the CPU is Intel's by calling a function of its own; if an executable exports a function of the same
//! name, MKL calls that one instead. This module defines such a function: the switch. MKL does not document the
//! name, so the switch is careful: it checks that the CPU has the instructions, `AMORTGAP_MATH_SWITCH=off`
//! turns it off, and the provenance of every result says which code path MKL took.
//!
//! The function is exported by a linker argument, which `gap-build` adds to each package.

use std::fmt;
use std::sync::OnceLock;

/// The environment variable whose value `off` turns the switch off.
pub const MKL_SWITCH_ENV_VARIABLE: &str = "AMORTGAP_MATH_SWITCH";

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
        let turned_off =
            std::env::var_os(MKL_SWITCH_ENV_VARIABLE).is_some_and(|value| value == "off");
        if turned_off {
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
    } else if allows_mkl_fast_path()
        && std::env::var_os(MKL_SWITCH_ENV_VARIABLE).is_none_or(|value| value != "off")
    {
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
