//! Links this package's executables against libtorch, if they are built with the feature `compute`.

fn main() {
    if std::env::var_os("CARGO_FEATURE_COMPUTE").is_some() {
        gap_build::link_libtorch();
    } else {
        println!("cargo::rerun-if-changed=build.rs");
    }
}
