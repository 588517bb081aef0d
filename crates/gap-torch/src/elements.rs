//! Copies a tensor's elements into a `Vec`.

use tch::{Device, Kind, Tensor, kind::Element};

/// Returns the elements of `tensor` as `f32`, in row-major order; `tensor` may be on any device and of any
/// kind.
pub fn to_f32_values(tensor: &Tensor) -> Vec<f32> {
    to_element_values(tensor, Kind::Float)
}

/// Returns the elements of `tensor` as `f64`, in row-major order; `tensor` may be on any device and of any
/// kind.
pub fn to_f64_values(tensor: &Tensor) -> Vec<f64> {
    to_element_values(tensor, Kind::Double)
}

fn to_element_values<T: Element + Copy>(tensor: &Tensor, kind: Kind) -> Vec<T> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(kind);
    Vec::try_from(flat.contiguous().view([-1])).expect("it is of that kind now")
}
