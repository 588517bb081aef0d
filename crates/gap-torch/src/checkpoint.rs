//! Named tensors that are saved as safetensors, with a digest that does not depend on their order.

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

/// A checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The bytes are not safetensors.
    #[error("not safetensors: {0}")]
    Format(String),
    /// A tensor holds numbers that safetensors has no name for.
    #[error("tensor `{name}` is of the kind {kind:?}, which safetensors does not have")]
    Kind {
        /// The tensor.
        name: String,
        /// The kind of its numbers.
        kind: Kind,
    },
    /// The checkpoint has no tensor of this name.
    #[error("the checkpoint has no tensor `{0}`")]
    Missing(String),
    /// Weights are of another kind than 32-bit floats.
    #[error("tensor `{name}` is of the kind {kind:?}; store 32-bit floats")]
    NotFloat {
        /// The tensor.
        name: String,
        /// The kind of its numbers.
        kind: Kind,
    },
    /// The checkpoint has a tensor that its reader has no use for.
    #[error("tensor `{0}` belongs to no layer")]
    Unexpected(String),
    /// A weight is NaN or infinite.
    #[error("tensor `{0}` of stored weights holds a number that is not finite")]
    NotFinite(String),
}

/// Tensors by name; none of them requires a gradient.
#[derive(Debug, Default)]
pub struct Checkpoint(BTreeMap<String, Tensor>);

impl Checkpoint {
    /// An empty checkpoint.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a copy of `tensor`, on the CPU and detached from its autograd graph; replaces any tensor of that
    /// name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: &Tensor) {
        let frozen = tensor.detach().to_device(Device::Cpu).contiguous().copy();
        self.0.insert(name.into(), frozen);
    }

    /// The names of the tensors, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns the tensor `name`, on `device`.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Missing`] if there is none.
    pub fn get(&self, name: &str, device: Device) -> Result<Tensor, CheckpointError> {
        self.0
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
        Err(CheckpointError::NotFinite(name.to_owned()))
    }

    /// Returns the tensors as the content of a file of safetensors.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Kind`] if the format does not have a tensor's kind of numbers.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let mut contents = Vec::with_capacity(self.0.len());
        for (name, tensor) in &self.0 {
            let kind = tensor.kind();
            let dtype = Dtype::try_from(kind).map_err(|_| CheckpointError::Kind {
                name: name.clone(),
                kind,
            })?;
            let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
            contents.push((name.as_str(), dtype, shape, tensor_bytes(tensor)));
        }
        let views = contents
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                let view = TensorView::new(*dtype, shape.clone(), bytes);
                (*name, view.expect("a tensor has the bytes of its shape"))
            })
            .collect::<Vec<_>>();
        safetensors::serialize(views, &None)
            .map_err(|error| CheckpointError::Format(error.to_string()))
    }

    /// Reads what [`Checkpoint::to_bytes`] returned. What is allocated is in proportion to `bytes`, whatever
    /// their header says.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Format`] if `bytes` are cut short or of another format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let format = |message: String| CheckpointError::Format(message);
        let file = SafeTensors::deserialize(bytes).map_err(|error| format(error.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let tensor = Tensor::try_from(view);
            // libtorch's messages carry a C++ backtrace below their first line.
            let tensor = tensor.map_err(|error| {
                let message = error.to_string();
                format(message.lines().next().unwrap_or_default().to_owned())
            })?;
            tensors.insert(name, tensor);
        }
        Ok(Self(tensors))
    }

    /// BLAKE3 digest of the tensors' names, kinds, shapes and bytes, taken in the order of the names.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (name, tensor) in &self.0 {
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

        let loaded = Checkpoint::from_bytes(&first.to_bytes().unwrap()).unwrap();
        assert_eq!(loaded.digest(), first.digest());
        assert_eq!(loaded.get("a", Device::Cpu).unwrap(), a);
        assert!(loaded.get("c", Device::Cpu).is_err());

        second.insert("a", &(&a + 1e-6));
        assert_ne!(first.digest(), second.digest());
    }
}
