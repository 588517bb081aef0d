//! Copies a tensor's elements into a `Vec`.

use tch::{Device, Tensor, kind::Element};

/// Returns the elements of `tensor` as `f32`, in row-major order; `tensor` may be on any device and of any
/// kind.
pub fn to_f32_values(tensor: &Tensor) -> Vec<f32> {
    to_element_values(tensor)
}

/// Returns the elements of `tensor` as `f64`, in row-major order; `tensor` may be on any device and of any
/// kind.
pub fn to_f64_values(tensor: &Tensor) -> Vec<f64> {
    to_element_values(tensor)
}

/// Returns the elements of `tensor` as numbers of type `T`, in row-major order; `tensor` may be on any device and of
/// any kind.
pub fn to_element_values<T: Element + Copy>(tensor: &Tensor) -> Vec<T> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(T::KIND);
    Vec::try_from(flat.contiguous().view([-1])).expect("it is of that kind now")
}
