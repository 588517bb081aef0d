//! A tensor's numbers in plain memory.

use tch::{Device, Kind, Tensor, kind::Element};

/// The elements of a tensor, row after row, as `f32`, wherever it is and whatever its kind.
pub fn floats(tensor: &Tensor) -> Vec<f32> {
    elements(tensor, Kind::Float)
}

/// The same as `f64`.
pub fn doubles(tensor: &Tensor) -> Vec<f64> {
    elements(tensor, Kind::Double)
}

fn elements<T: Element + Copy>(tensor: &Tensor, kind: Kind) -> Vec<T> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(kind);
    Vec::try_from(flat.contiguous().view([-1])).expect("it is of that kind now")
}
