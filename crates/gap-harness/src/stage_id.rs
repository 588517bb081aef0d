//! The name of a stage, and the environment that goes into it along with the stage's settings.

use serde::Serialize;
use std::fmt;

/// What a stage's numbers depend on besides its own settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Environment {
    /// A digest of the source files whose code can change a result (listed in `build.rs`).
    pub source: String,
    /// The device.
    pub device: String,
    /// The code path of libtorch's math library.
    pub math: String,
    /// The instruction set of the fused kernels, or `off`.
    pub kernels: String,
}

/// A stage's name: a digest of all that its numbers depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct StageId(String);

impl StageId {
    /// The name of a stage of the kind `kind`; `settings` must hold all of its settings.
    pub fn new(kind: &str, settings: &impl Serialize, environment: &Environment) -> Self {
        let content =
            serde_json::to_vec(&(settings, environment)).expect("a stage can be written as JSON");
        let digest = &blake3::hash(&content).to_hex()[..16];
        Self(format!("{kind}-{digest}"))
    }

    /// The name's bytes.
    pub const fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The name.
    pub const fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for StageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
