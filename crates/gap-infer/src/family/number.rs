//! The numbers that families in plain memory compute with: `f32` in earnest, `f64` in tests.

use gap_kernel::exponentials;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

/// A floating-point number.
pub trait Number:
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
    /// The nearest to `value`.
    fn of(value: f64) -> Self;

    /// The same in `f64`.
    fn wide(self) -> f64;

    /// Writes `eˣ` over every `x`.
    fn exponentiate(values: &mut [Self]);
}

impl Number for f32 {
    fn of(value: f64) -> Self {
        value as Self
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }

    fn exponentiate(values: &mut [Self]) {
        exponentials(values);
    }
}

impl Number for f64 {
    fn of(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }

    fn exponentiate(values: &mut [Self]) {
        for value in values {
            *value = value.exp();
        }
    }
}

/// `Σ aᵢ bᵢ`, in eight sums beside one another, which the compiler makes vectors of.
#[inline]
pub fn dot<T: Number>(a: &[T], b: &[T]) -> T {
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

/// `Σ aᵢ`, likewise.
#[inline]
pub fn sum<T: Number>(a: &[T]) -> T {
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

/// `yᵢ += factor xᵢ`.
#[inline]
pub fn add_scaled<T: Number>(y: &mut [T], factor: T, x: &[T]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}
