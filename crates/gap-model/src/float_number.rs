//! The floating-point types that rows of draws and scores are stored in.

use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

/// A floating-point type: `f32` or `f64`.
///
/// Whatever computes on rows of numbers is written once for both. The fused kernels read `f32`; everything in `f64`
/// is computed by libtorch and by plain loops.
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

    /// The same numbers in this type, which holds all of them exactly.
    fn from_f32_values(values: Vec<f32>) -> Vec<Self>;

    /// `self · factor + summand`, rounded once.
    #[must_use]
    fn mul_add(self, factor: Self, summand: Self) -> Self;

    /// Replaces every `x` by `eˣ`, as fast as possible: in `f32`, any `x` outside ±87 counts as ±87.
    fn exponentials(values: &mut [Self]);

    /// Replaces every `x` by `eˣ`; in `f32`, by NaN if `x` is outside ±86, near the limits of the type.
    fn exponentiate(values: &mut [Self]);

    /// These numbers if they are `f32`, which the kernels read.
    fn as_f32(values: &[Self]) -> Option<&[f32]>;

    /// As [`Self::as_f32`], for the kernels to write.
    fn as_f32_mut(values: &mut [Self]) -> Option<&mut [f32]>;
}

impl FloatNumber for f32 {
    fn from_f64(value: f64) -> Self {
        value as Self
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn from_f32_values(values: Vec<f32>) -> Vec<Self> {
        values
    }

    fn mul_add(self, factor: Self, summand: Self) -> Self {
        Self::mul_add(self, factor, summand)
    }

    fn exponentials(values: &mut [Self]) {
        gap_kernel::exponentials(values);
    }

    fn exponentiate(values: &mut [Self]) {
        gap_kernel::exponentials(values);
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

    fn as_f32(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }

    fn as_f32_mut(values: &mut [Self]) -> Option<&mut [f32]> {
        Some(values)
    }
}

impl FloatNumber for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn from_f32_values(values: Vec<f32>) -> Vec<Self> {
        values.into_iter().map(Self::from).collect()
    }

    fn mul_add(self, factor: Self, summand: Self) -> Self {
        Self::mul_add(self, factor, summand)
    }

    fn exponentials(values: &mut [Self]) {
        for value in values {
            *value = value.exp();
        }
    }

    fn exponentiate(values: &mut [Self]) {
        Self::exponentials(values);
    }

    fn as_f32(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn as_f32_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
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
