//! What every build script of the workspace asks of the linker.
//!
//! Link arguments of a dependency do not reach the executables that use it, so each package that
//! makes an executable (tests and benches included) repeats them through [`link_libtorch`].

use std::env;

/// Lets this package's executables find libtorch from any folder, and export the math-library switch.
///
/// Reads the folder from the metadata of `torch-sys` (in `gap-torch` itself) or of `gap-torch`
/// (everywhere else), and passes it on, so that the package needs a direct dependency on one of them.
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
