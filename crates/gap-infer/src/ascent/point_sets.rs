//! Small sets of points whose low moments are exactly those of the standard normal.

use crate::family::FloatNumber;
use gap_torch::{SeedKey, sobol_normal_points};
use nalgebra::{DMatrix, DVector};
use std::ops::Range;

/// Returns scrambled Sobol normals, `[n, D]`, whose mean is 0 and, if `n` is large enough, whose covariance is
/// exactly I. They are antithetic if that gives enough pairs.
///
/// Gradients are then free of integration error where the score is linear in `z`; with antithetic pairs, also
/// where it is quadratic.
pub fn whitened_sobol_normals<T: FloatNumber>(key: SeedKey, n: usize, dim: usize) -> Vec<T> {
    if has_enough_antithetic_pairs(n, dim) {
        let mut points = sobol_normals(key, 0..(n / 2) as u32, dim);
        points = whiten_antithetic_half(points, dim);
        append_negatives(&mut points);
        points
    } else {
        whiten(sobol_normals(key, 0..n as u32, dim), dim)
    }
}

/// As [`sobol_normal_points`], in either type: the points are the same numbers in both.
pub(super) fn sobol_normals<T: FloatNumber>(key: SeedKey, range: Range<u32>, dim: usize) -> Vec<T> {
    T::from_f32_values(sobol_normal_points(key, range, dim))
}

/// Whether the `n / 2` antithetic pairs of `n` points outnumber the dimensions by at least 4.
pub(super) const fn has_enough_antithetic_pairs(n: usize, dim: usize) -> bool {
    n >= 2 * dim + 8
}

/// Returns the points and their negatives, whitened, and with balanced fourth moments if the dimension is at
/// most [`MAX_BALANCED_DIM`]. Balancing takes time, which pays off for few draws that many datapoints share.
pub(super) fn balanced_antithetic_points<T: FloatNumber>(mut points: Vec<T>, dim: usize) -> Vec<T> {
    if dim <= MAX_BALANCED_DIM {
        for _ in 0..MOMENT_BALANCING_ROUNDS {
            points = whiten_antithetic_half(points, dim);
            step_towards_normal_fourth_moments(&mut points, dim);
        }
    }
    let mut points = whiten_antithetic_half(points, dim);
    append_negatives(&mut points);
    points
}

/// Appends the negatives of the points.
pub(super) fn append_negatives<T: FloatNumber>(points: &mut Vec<T>) {
    let negatives: Vec<T> = points.iter().map(|&value| -value).collect();
    points.extend(negatives);
}

/// The highest dimension in which fourth moments are balanced; the time grows with the cube of the dimension.
const MAX_BALANCED_DIM: usize = 16;
const MOMENT_BALANCING_ROUNDS: u32 = 30;
/// The step size of a balancing round; with larger steps, sets of few points begin to oscillate.
const MOMENT_BALANCING_STEP_SIZE: f64 = 0.02;

/// Moves each point a little, so that the fourth moments come closer to `E[ε_i² ε_j²] = 1 + 2 δ_ij`.
///
/// These are the lowest moments in which whitened antithetic draws differ from the standard normal. For a
/// 10-dimensional decoder of digits, the optimum on 32 draws is on average 0.019 nats off; with balanced fourth
/// moments, 0.010 nats.
fn step_towards_normal_fourth_moments<T: FloatNumber>(points: &mut [T], dim: usize) {
    let n = (points.len() / dim) as f64;
    let mut excess = DMatrix::from_fn(dim, dim, |i, j| if i == j { -3.0 } else { -1.0 });
    for point in points.chunks_exact(dim) {
        for (j, &right) in point.iter().enumerate() {
            for (i, &left) in point.iter().enumerate() {
                excess[(i, j)] += (left * left).to_f64() * (right * right).to_f64() / n;
            }
        }
    }
    for point in points.chunks_exact_mut(dim) {
        let squares = DVector::from_iterator(dim, point.iter().map(|&v| (v * v).to_f64()));
        for (value, pull) in point.iter_mut().zip((&excess * squares).iter()) {
            let step = MOMENT_BALANCING_STEP_SIZE * pull * value.to_f64();
            *value -= T::from_f64(step.clamp(-0.3, 0.3));
        }
    }
}

/// Returns the mean `ē`, `[D]`, and the mean of `ε εᵀ`, `[D, D]`, of `[S, D]` points.
pub(super) fn mean_and_second_moment<T: FloatNumber>(
    points: &[T],
    dim: usize,
) -> (DVector<f64>, DMatrix<f64>) {
    let n = (points.len() / dim) as f64;
    let mut mean = DVector::<f64>::zeros(dim);
    let mut second = DMatrix::<f64>::zeros(dim, dim);
    for point in points.chunks_exact(dim) {
        for (j, &right) in point.iter().enumerate() {
            let right = right.to_f64();
            mean[j] += right / n;
            for (i, &left) in point.iter().enumerate() {
                second[(i, j)] += left.to_f64() * right / n;
            }
        }
    }
    (mean, second)
}

/// Shifts `points` to mean 0 and transforms them linearly to covariance I. With too few points for that,
/// scales each dimension to variance 1.
pub(super) fn whiten<T: FloatNumber>(points: Vec<T>, dim: usize) -> Vec<T> {
    let n = points.len() / dim;
    let (mean, second) = mean_and_second_moment(&points, dim);
    let covariance = &second - &mean * mean.transpose();
    let turn = if n > dim + 1 {
        symmetric_inverse_sqrt(covariance)
    } else {
        DMatrix::from_diagonal(&covariance.diagonal().map(clamped_inverse_sqrt))
    };
    center_and_transform_points(&points, &mean, &turn)
}

/// Whitens the set of `points` and their negatives, whose mean is 0, and returns the transformed `points`.
fn whiten_antithetic_half<T: FloatNumber>(points: Vec<T>, dim: usize) -> Vec<T> {
    let (_, second) = mean_and_second_moment(&points, dim);
    center_and_transform_points(
        &points,
        &DVector::zeros(dim),
        &symmetric_inverse_sqrt(second),
    )
}

fn center_and_transform_points<T: FloatNumber>(
    points: &[T],
    mean: &DVector<f64>,
    turn: &DMatrix<f64>,
) -> Vec<T> {
    let dim = mean.len();
    let mut transformed_points = Vec::with_capacity(points.len());
    for point in points.chunks_exact(dim) {
        let centred = DVector::from_fn(dim, |i, _| point[i].to_f64() - mean[i]);
        transformed_points.extend((turn * centred).iter().map(|&value| T::from_f64(value)));
    }
    transformed_points
}

/// The symmetric inverse square root: of all whitening transforms it moves points least.
fn symmetric_inverse_sqrt(covariance: DMatrix<f64>) -> DMatrix<f64> {
    let eigen = covariance.symmetric_eigen();
    let roots = DMatrix::from_diagonal(&eigen.eigenvalues.map(clamped_inverse_sqrt));
    &eigen.eigenvectors * roots * eigen.eigenvectors.transpose()
}

fn clamped_inverse_sqrt(value: f64) -> f64 {
    value.max(1e-12).sqrt().recip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitened_points_have_mean_zero_and_unit_covariance_where_there_are_enough() {
        for (n, dim) in [(16, 2), (16, 10), (32, 10), (64, 50), (128, 50)] {
            let (mean, second) = mean_and_second_moment(
                &whitened_sobol_normals::<f32>(SeedKey::root(1), n, dim),
                dim,
            );
            assert!(mean.amax() < 1e-6, "{n} in {dim}");
            let off = second - DMatrix::identity(dim, dim);
            assert!(off.amax() < 1e-5, "{n} in {dim}: {}", off.amax());
        }
        let (mean, second) =
            mean_and_second_moment(&whitened_sobol_normals::<f32>(SeedKey::root(1), 16, 50), 50);
        assert!(mean.amax() < 1e-6);
        assert!(second.diagonal().add_scalar(-1.0).amax() < 1e-5);
    }

    #[test]
    fn balancing_takes_most_of_the_error_of_the_fourth_moments_away() {
        let dim = 10;
        let error = |points: &[f32]| {
            let mut excess = DMatrix::from_fn(dim, dim, |i, j| if i == j { -3.0 } else { -1.0 });
            let n = (points.len() / dim) as f64;
            for point in points.chunks_exact(dim) {
                let squares = DVector::from_fn(dim, |i, _| f64::from(point[i]).powi(2));
                excess += &squares * squares.transpose() / n;
            }
            excess.norm() / dim as f64
        };
        let (mut before, mut after) = (0.0, 0.0);
        for seed in 0..20 {
            let points = sobol_normal_points(SeedKey::root(seed), 0..16, dim);
            before += error(&whiten_antithetic_half(points.clone(), dim));
            after += error(&balanced_antithetic_points(points, dim));
        }
        assert!(after < 0.5 * before, "{before} before, {after} after");
    }
}
