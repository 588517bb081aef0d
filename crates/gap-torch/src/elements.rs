//! A tensor's numbers in plain memory.

use tch::{Device, Kind, Tensor, kind::Element};

/// The elements of a tensor, row after row, as `f32`, wherever it is and whatever its kind.
pub fn to_f32_values(tensor: &Tensor) -> Vec<f32> {
    to_element_values(tensor, Kind::Float)
}

/// The same as `f64`.
pub fn to_f64_values(tensor: &Tensor) -> Vec<f64> {
    to_element_values(tensor, Kind::Double)
}

fn to_element_values<T: Element + Copy>(tensor: &Tensor, kind: Kind) -> Vec<T> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(kind);
    Vec::try_from(flat.contiguous().view([-1])).expect("it is of that kind now")
}
