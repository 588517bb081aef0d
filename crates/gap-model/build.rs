//! Adds the linker arguments that this package's executables need: see `gap_build::link_libtorch`.

fn main() {
    gap_build::link_libtorch();
}
