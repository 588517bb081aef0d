//! Named tensors that are saved as safetensors, with a digest that does not depend on their order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// A checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read or written, or its contents are invalid.
    #[error("{path}: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// The first line of the underlying error's message.
        message: String,
    },
    /// The checkpoint has no tensor of this name.
    #[error("the checkpoint has no tensor `{0}`")]
    Missing(String),
    /// A weight is NaN or infinite, which none is that was stored after a fit.
    #[error(
        "{file}: tensor `{name}` holds a number that is not finite, so the file is damaged; delete its folder, and the stage is computed again"
    )]
    NotFinite {
        /// The file, or the word `checkpoint` if it was not read from a file.
        file: String,
        /// The name of the tensor.
        name: String,
    },
}

/// Tensors by name; none of them requires a gradient.
#[derive(Debug, Default)]
pub struct Checkpoint {
    tensors: BTreeMap<String, Tensor>,
    /// The file that they were read from.
    file: Option<PathBuf>,
}

impl Checkpoint {
    /// An empty checkpoint.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a copy of `tensor`, on the CPU and detached from its autograd graph; replaces any tensor of that
    /// name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: &Tensor) {
        let frozen = tensor.detach().to_device(Device::Cpu).contiguous().copy();
        self.tensors.insert(name.into(), frozen);
    }

    /// Returns the tensor `name`, on `device`.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Missing`] if there is none.
    pub fn get(&self, name: &str, device: Device) -> Result<Tensor, CheckpointError> {
        self.tensors
            .get(name)
            .map(|tensor| tensor.to_device(device))
            .ok_or_else(|| CheckpointError::Missing(name.to_owned()))
    }

    /// As [`Checkpoint::get`], for weights, all of which must be finite.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Missing`] if there is no such tensor, [`CheckpointError::NotFinite`] if one of its
    /// numbers is not finite.
    pub fn get_weights(&self, name: &str, device: Device) -> Result<Tensor, CheckpointError> {
        let tensor = self.get(name, device)?;
        if tensor.isfinite().all().int64_value(&[]) == 1 {
            return Ok(tensor);
        }
        let file = self.file.as_ref();
        Err(CheckpointError::NotFinite {
            file: file.map_or_else(
                || "checkpoint".to_owned(),
                |file| file.display().to_string(),
            ),
            name: name.to_owned(),
        })
    }

    /// Writes the tensors to the file `path`, as safetensors.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::File`] if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let named: Vec<(&str, &Tensor)> =
            self.tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
        Tensor::write_safetensors(&named, path).map_err(|error| file_error(path, &error))
    }

    /// Reads a file that [`Checkpoint::save`] wrote.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::File`] if the file is missing, truncated, or not in the safetensors format.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let named = Tensor::read_safetensors(path).map_err(|error| file_error(path, &error))?;
        Ok(Self {
            tensors: named.into_iter().collect(),
            file: Some(path.to_owned()),
        })
    }

    /// BLAKE3 digest of the tensors' names, kinds, shapes and bytes, taken in the order of the names.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (name, tensor) in &self.tensors {
            hasher.update(name.as_bytes());
            hasher.update(format!("{:?}{:?}", tensor.kind(), tensor.size()).as_bytes());
            hasher.update(&tensor_bytes(tensor));
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Returns the bytes of the tensor's elements, in row-major order and as stored in memory.
fn tensor_bytes(tensor: &Tensor) -> Vec<u8> {
    let flat = tensor.contiguous().reshape([-1]);
    let bytes = flat.view_dtype(Kind::Uint8);
    Vec::<u8>::try_from(bytes).expect("a contiguous CPU tensor has bytes")
}

fn file_error(path: &Path, error: &dyn std::fmt::Display) -> CheckpointError {
    // In libtorch's messages a C++ backtrace follows the first line.
    let message = error.to_string();
    CheckpointError::File {
        path: path.to_owned(),
        message: message.lines().next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_the_digest_ignores_the_order_of_insertion() {
        let (a, b) = (
            Tensor::from_slice(&[1.5_f32, -2.0]),
            Tensor::from_slice(&[3.0_f64]),
        );
        let mut first = Checkpoint::new();
        first.insert("a", &a);
        first.insert("b", &b);
        let mut second = Checkpoint::new();
        second.insert("b", &b);
        second.insert("a", &a);
        assert_eq!(first.digest(), second.digest());

        let path =
            std::env::temp_dir().join(format!("gap-torch-{}.safetensors", std::process::id()));
        first.save(&path).unwrap();
        let loaded = Checkpoint::load(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(loaded.digest(), first.digest());
        assert_eq!(loaded.get("a", Device::Cpu).unwrap(), a);
        assert!(loaded.get("c", Device::Cpu).is_err());

        second.insert("a", &(&a + 1e-6));
        assert_ne!(first.digest(), second.digest());
    }
}
