//! `log (1/n) Σ exp(l)` in one pass, in `f64`, with its standard error and effective sample size.

use crate::weight_tail::TailSums;

/// A streaming log-mean-exp.
///
/// Keeps `Σ exp(l − m)` and `Σ exp(2 (l − m))`, where `m` is the largest value so far. So nothing overflows,
/// and memory is constant.
#[derive(Clone, Copy, Debug)]
pub struct LogMeanExp {
    max: f64,
    sum: f64,
    sum_of_squares: f64,
    count: u64,
    poisoned: bool,
}

impl Default for LogMeanExp {
    fn default() -> Self {
        Self {
            max: f64::NEG_INFINITY,
            sum: 0.0,
            sum_of_squares: 0.0,
            count: 0,
            poisoned: false,
        }
    }
}

impl LogMeanExp {
    /// Adds a value. Minus infinity is a weight of zero. NaN and plus infinity poison the result, which is
    /// NaN from then on.
    pub fn push(&mut self, value: f64) {
        self.count += 1;
        if value.is_nan() || value == f64::INFINITY {
            self.poisoned = true;
        } else if value > self.max {
            let shrink = (self.max - value).exp();
            self.sum = self.sum * shrink + 1.0;
            self.sum_of_squares = self.sum_of_squares * shrink * shrink + 1.0;
            self.max = value;
        } else if value > f64::NEG_INFINITY {
            let weight = (value - self.max).exp();
            self.sum += weight;
            self.sum_of_squares += weight * weight;
        }
    }

    /// The number of values so far.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The sum of these weights as a share of that of `all`, which has them and others.
    pub fn share_of_sum(&self, all: &Self) -> f64 {
        self.sum * (self.max - all.max).exp() / all.sum
    }

    /// Returns a copy in which the tail's part of `Σw` and `Σw²` is replaced by `other`. The tail must
    /// contain the largest weight.
    #[must_use]
    pub fn with_tail_sums_replaced(&self, tail: &TailSums, other: [f64; 2]) -> Self {
        debug_assert!(self.max == tail.reference || self.poisoned);
        // Cancellation is harmless: digits are lost only if the tail is nearly the whole sum, and then the
        // difference hardly matters beside `other`.
        let replaced = |sum: f64, i: usize| (sum - tail.raw[i]).max(0.0) + other[i];
        Self {
            sum: replaced(self.sum, 0),
            sum_of_squares: replaced(self.sum_of_squares, 1),
            ..*self
        }
    }

    /// Whether NaN or plus infinity was pushed.
    pub const fn has_non_finite_weight(&self) -> bool {
        self.poisoned
    }

    /// Returns `log (1/n) Σ exp(l)`, or NaN if poisoned or empty.
    pub fn value(&self) -> f64 {
        if self.poisoned || self.count == 0 {
            return f64::NAN;
        }
        if self.sum == 0.0 {
            return f64::NEG_INFINITY;
        }
        self.max + (self.sum / self.count as f64).ln()
    }

    /// Returns the standard error of [`LogMeanExp::value`] by the delta method: `sd(w) / (√n · mean(w))`.
    ///
    /// Infinite for a single value; NaN if poisoned, or if all weights are zero.
    pub fn std_error(&self) -> f64 {
        if self.poisoned || self.sum == 0.0 {
            return f64::NAN;
        }
        self.relative_weight_std() / ((self.count as f64).sqrt() * self.relative_mean_weight())
    }

    /// Returns [`LogMeanExp::std_error`] with the standard deviation of the weights of `other`, if that is
    /// larger.
    pub fn std_error_with_wider_spread(&self, other: &Self) -> f64 {
        self.std_error() * (other.relative_weight_std() / self.relative_weight_std()).max(1.0)
    }

    /// The mean weight, divided by the largest one.
    fn relative_mean_weight(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// The standard deviation of the weights, divided by the largest one; infinite for a single weight.
    fn relative_weight_std(&self) -> f64 {
        if self.count < 2 {
            return f64::INFINITY;
        }
        let n = self.count as f64;
        let mean = self.relative_mean_weight();
        ((self.sum_of_squares / n - mean * mean).max(0.0) * n / (n - 1.0)).sqrt()
    }

    /// Returns `(Σw)² / Σw²`, between 1 and `n` (Kong 1992).
    pub fn effective_sample_size(&self) -> f64 {
        self.sum * self.sum / self.sum_of_squares
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f64]) -> LogMeanExp {
        let mut accumulator = LogMeanExp::default();
        values.iter().for_each(|&value| accumulator.push(value));
        accumulator
    }

    proptest! {
        #[test]
        fn it_is_the_log_of_the_mean_of_the_exponentials(
            values in prop::collection::vec(-20.0..20.0_f64, 2..200), shift in -2000.0..2000.0_f64,
        ) {
            let n = values.len() as f64;
            let weights: Vec<f64> = values.iter().map(|v| v.exp()).collect();
            let mean = weights.iter().sum::<f64>() / n;
            let variance = weights.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let shifted: Vec<f64> = values.iter().map(|v| v + shift).collect();
            let got = of(&shifted);
            prop_assert!((got.value() - (mean.ln() + shift)).abs() < 1e-9);
            prop_assert!((got.std_error() - (variance / n).sqrt() / mean).abs() < 1e-7);
            let ess = weights.iter().sum::<f64>().powi(2) / weights.iter().map(|w| w * w).sum::<f64>();
            prop_assert!((got.effective_sample_size() / ess - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn weights_of_zero_count_and_bad_ones_poison() {
        assert!((of(&[0.0, f64::NEG_INFINITY]).value() - 0.5_f64.ln()).abs() < 1e-15);
        assert!((of(&[f64::NEG_INFINITY, 0.0]).value() - 0.5_f64.ln()).abs() < 1e-15);
        assert_eq!(of(&[f64::NEG_INFINITY]).value(), f64::NEG_INFINITY);
        assert!(of(&[0.0, f64::NAN]).value().is_nan());
        assert!(of(&[0.0, f64::INFINITY]).value().is_nan());
        assert!(of(&[]).value().is_nan());
    }
}
