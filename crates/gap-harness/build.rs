//! Links this package's executables against libtorch, and records the source that they are built from.

#[path = "build/source_tokens.rs"]
mod source_tokens;

use source_tokens::computing_tokens;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files and folders whose code can change a result; reports, messages and the scheduler cannot. The source
/// digest is made from their tokens.
const COMPUTING: [&str; 17] = [
    "gap-spec/src",
    "gap-kernel/src",
    "gap-torch/src",
    "gap-data/src",
    "gap-model/src",
    "gap-infer/src",
    "gap-estimate/src",
    "gap-harness/src/annealing.rs",
    "gap-harness/src/context.rs",
    "gap-harness/src/encoders.rs",
    "gap-harness/src/measure.rs",
    "gap-harness/src/models.rs",
    "gap-harness/src/observations.rs",
    "gap-harness/src/search_checkpoint.rs",
    "gap-harness/src/stored_models.rs",
    "gap-harness/src/work",
    "gap-harness/src/starts.rs",
];

/// The modules within [`COMPUTING`] that cannot change a result, since they only read and check files.
const READING: [&str; 3] = [
    "gap-spec/src/document",
    "gap-spec/src/check",
    "gap-spec/src/input_file",
];

fn main() {
    gap_build::link_libtorch();
    let crates = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    println!("cargo::rerun-if-changed={}", crates.display());
    // Git appends to the log of HEAD at each commit and checkout.
    for file in ["Cargo.lock", ".git/logs/HEAD"] {
        let path = crates.join("..").join(file);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    println!(
        "cargo::rustc-env=AMORTGAP_SOURCE_DIGEST={}",
        source_digest(&crates)
    );
    let commit = git(&crates, &["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=AMORTGAP_COMMIT={commit}");
    let changed = git(
        &crates,
        &[
            "status",
            "--porcelain",
            "--",
            ".",
            "../Cargo.toml",
            "../Cargo.lock",
        ],
    );
    let dirty = changed.map_or(
        "unknown",
        |changed| if changed.is_empty() { "false" } else { "true" },
    );
    println!("cargo::rustc-env=AMORTGAP_DIRTY={dirty}");
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn source_digest(crates: &Path) -> String {
    let mut files: Vec<PathBuf> = COMPUTING
        .iter()
        .flat_map(|name| sources(&crates.join(name)))
        .filter(|file| !is_reading(crates, file))
        .collect();
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for file in files {
        let path = file.strip_prefix(crates).unwrap_or(&file);
        hasher.update(path.to_string_lossy().as_bytes());
        let source = std::fs::read_to_string(&file).expect("a source file can be read");
        let tokens = computing_tokens(&source).expect("a source file is Rust");
        hasher.update(tokens.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

/// Whether `file` belongs to a module of [`READING`]: whether it is its main file, or in its folder.
fn is_reading(crates: &Path, file: &Path) -> bool {
    let file = file.with_extension("");
    READING
        .iter()
        .any(|name| file.starts_with(crates.join(name)))
}

fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    std::fs::read_dir(path)
        .expect("a source folder can be listed")
        .map(|entry| entry.expect("a source folder can be listed").path())
        .flat_map(|path| sources(&path))
        .collect()
}
