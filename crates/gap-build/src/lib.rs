//! The linker arguments that the build scripts of the workspace need.
//!
//! Cargo does not apply the linker arguments of a dependency to the executables that use it, so each package
//! with executables (tests and benches included) sets them again through [`link_libtorch`].

use std::env;

/// Sets the linker arguments that this package's executables need: an rpath to libtorch, and on Linux x86-64
/// the export of `mkl_serv_intel_cpu_true` (see `gap_torch::math_library`).
///
/// libtorch's folder comes from the build metadata of `torch-sys` (in `gap-torch`) or of `gap-torch` (in all
/// other packages), so a package must depend directly on one of the two. `gap-torch` passes the folder on.
///
/// # Panics
///
/// If the package depends on neither: a mistake in its `Cargo.toml`.
pub fn link_libtorch() {
    let lib_dir = env::var("DEP_TCH_LIBTORCH_LIB")
        .or_else(|_| env::var("DEP_GAP_TORCH_LIBTORCH_LIB"))
        .expect("a package that links libtorch depends directly on gap-torch");
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_FAMILY").as_deref() == Ok("unix") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib_dir}");
    }
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux")
        && env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64")
    {
        println!("cargo::rustc-link-arg=-Wl,--export-dynamic-symbol=mkl_serv_intel_cpu_true");
    }
    if env::var("CARGO_PKG_NAME").as_deref() == Ok("gap-torch") {
        println!("cargo::metadata=libtorch_lib={lib_dir}");
    }
}
