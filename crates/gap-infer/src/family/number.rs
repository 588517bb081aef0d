//! The floating-point types that a [`PerDatapointFamily`](super::PerDatapointFamily) is generic over. Families
//! compute in `f64` if the parameter tensor is `f64`, and in `f32` otherwise. Densities at given points are
//! always computed in `f64`.

use gap_model::exponentials;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

/// A floating-point type: `f32` or `f64`.
pub trait FloatNumber:
    Copy
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + tch::kind::Element
{
    /// The number of this type that is nearest to `value`.
    fn from_f64(value: f64) -> Self;

    /// This number as `f64`.
    fn to_f64(self) -> f64;

    /// Replaces every `x` by `eˣ`; in `f32`, by NaN if `x` is outside ±86, near the limits of the type.
    fn exponentiate(values: &mut [Self]);
}

impl FloatNumber for f32 {
    fn from_f64(value: f64) -> Self {
        value as Self
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn exponentiate(values: &mut [Self]) {
        exponentials(values);
        // The kernels clamp `x` to ±87; a log determinant computed from `x` itself would then be inconsistent.
        let known = f32::exp(-86.0)..f32::exp(86.0);
        for value in values {
            *value = if known.contains(value) {
                *value
            } else {
                f32::NAN
            };
        }
    }
}

impl FloatNumber for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn exponentiate(values: &mut [Self]) {
        for value in values {
            *value = value.exp();
        }
    }
}

/// Returns `Σ aᵢ bᵢ`, accumulated in eight partial sums that the compiler can vectorise.
#[inline]
pub fn dot<T: FloatNumber>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::default(); 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a.remainder().iter().zip(b.remainder());
    let mut rest_sum = T::default();
    for (&a, &b) in rest {
        rest_sum += a * b;
    }
    for (a, b) in a.zip(b) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + b) + (c + d)) + ((e + f) + (g + h)) + rest_sum
}

/// Returns `Σ aᵢ`, accumulated in eight partial sums as in [`dot`].
#[inline]
pub fn sum<T: FloatNumber>(a: &[T]) -> T {
    let mut sums = [T::default(); 8];
    let chunks = a.chunks_exact(8);
    let mut rest_sum = T::default();
    for &a in chunks.remainder() {
        rest_sum += a;
    }
    for a in chunks {
        for i in 0..8 {
            sums[i] += a[i];
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + b) + (c + d)) + ((e + f) + (g + h)) + rest_sum
}

/// Adds `factor · xᵢ` to every `yᵢ`.
#[inline]
pub fn add_scaled<T: FloatNumber>(y: &mut [T], factor: T, x: &[T]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

#[cfg(test)]
mod tests {
    use super::FloatNumber;

    #[test]
    fn a_scale_beyond_the_numbers_is_none_and_others_are_exact() {
        let mut scales = [0.0_f32, 1.0, -80.0, 80.0, 90.0, -90.0, f32::NAN];
        f32::exponentiate(&mut scales);
        assert!((scales[1] - 1.0_f32.exp()).abs() < 1e-6);
        assert!(
            scales[..4]
                .iter()
                .all(|scale| scale.is_finite() && *scale > 0.0)
        );
        assert!(scales[4..].iter().all(|scale| scale.is_nan()), "{scales:?}");
    }
}
