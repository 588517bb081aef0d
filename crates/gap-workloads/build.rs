//! Links this package's executables against libtorch.

fn main() {
    gap_build::link_libtorch();
}
