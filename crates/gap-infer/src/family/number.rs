//! Sums over the draws of a [`PerDatapointFamily`](super::PerDatapointFamily), in either floating-point type.
//! Families compute in `f64` if their parameters are `f64`, and in `f32` otherwise. Densities at given points are
//! always computed in `f64`.

pub use gap_model::FloatNumber;

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
