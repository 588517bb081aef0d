//! Links this package's executables against libtorch, where they need it.

fn main() {
    if std::env::var_os("CARGO_FEATURE_COMPUTE").is_some() {
        gap_build::link_libtorch();
    } else {
        println!("cargo::rerun-if-changed=build.rs");
    }
}
