//! Reads the sizes of a tensor's axes, with an error that names the axes if their number is wrong.

use tch::Tensor;

/// A tensor has a different number of axes than expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{tensor} should have axes [{}] but has shape {shape:?}", axes.join(", "))]
pub struct DimsError {
    tensor: &'static str,
    axes: Vec<&'static str>,
    shape: Vec<i64>,
}

/// Returns the sizes of `tensor`, which must have one axis for each name in `axes`.
///
/// `name` and `axes` are used only in the error's message.
///
/// ```
/// use gap_torch::dims;
/// let z = tch::Tensor::zeros([3, 2, 5], (tch::Kind::Float, tch::Device::Cpu));
/// let [n_samples, batch, latent_dim] = dims("z", &z, ["S", "B", "D"])?;
/// assert_eq!((n_samples, batch, latent_dim), (3, 2, 5));
/// # Ok::<(), gap_torch::DimsError>(())
/// ```
///
/// # Errors
///
/// [`DimsError`] if `tensor` has another number of axes.
pub fn dims<const N: usize>(
    name: &'static str,
    tensor: &Tensor,
    axes: [&'static str; N],
) -> Result<[i64; N], DimsError> {
    let shape = tensor.size();
    <[i64; N]>::try_from(shape.as_slice()).map_err(|_| DimsError {
        tensor: name,
        axes: axes.to_vec(),
        shape,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_number_of_axes_is_named() {
        let x = Tensor::zeros([4, 2], (tch::Kind::Float, tch::Device::Cpu));
        let error = dims("x", &x, ["S", "B", "X"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "x should have axes [S, B, X] but has shape [4, 2]"
        );
    }
}
