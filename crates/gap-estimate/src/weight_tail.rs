//! The largest of many log-weights, and the shape of their tail.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Returns how many of the largest of `n` weights form the tail: `min(n / 5, 3 √n)` (Vehtari et al. 2024,
/// §3.2).
pub fn tail_length(n: u64) -> usize {
    let n = n as f64;
    (n / 5.0).min(3.0 * n.sqrt()).ceil() as usize
}

/// Returns the shape `k̂` above which `n` draws are too few for their mean to be trusted:
/// `min(1 − 1 / log₁₀ n, 0.7)` (Vehtari et al. 2024, §3.2.4).
pub fn max_trusted_pareto_shape(n: u64) -> f64 {
    (1.0 - 1.0 / (n as f64).log10()).min(0.7)
}

/// The fewest weights of a tail to which a distribution is fitted.
const MIN_TAIL_WEIGHTS: usize = 5;

/// A finite number that can be sorted.
#[derive(Clone, Copy, Debug, PartialEq)]
struct OrderedWeight(f64);

impl Eq for OrderedWeight {}

impl PartialOrd for OrderedWeight {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderedWeight {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Keeps the tail of the log-weights that are pushed, and the largest one below it.
///
/// Its memory is that of the tail, which grows with the square root of the number of draws.
#[derive(Clone, Debug)]
pub struct WeightTail {
    capacity: usize,
    largest: BinaryHeap<Reverse<OrderedWeight>>,
}

/// A generalised Pareto distribution above a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParetoTail {
    /// The shape `k̂`.
    pub shape: f64,
    /// The scale as a multiple of the largest weight; 0 if that is too small for a number.
    scale: f64,
    /// The threshold, as a log-weight.
    threshold: f64,
    /// The largest log-weight: all weights were divided by its exponential.
    reference: f64,
}

impl WeightTail {
    /// Creates an empty tail for `n` log-weights.
    pub fn with_capacity_for_draws(n: u64) -> Self {
        let capacity = tail_length(n) + 1;
        Self {
            capacity,
            largest: BinaryHeap::with_capacity(capacity + 1),
        }
    }

    /// Adds a log-weight. One that is not finite is ignored.
    pub fn push(&mut self, log_weight: f64) {
        if !log_weight.is_finite() {
            return;
        }
        if self.largest.len() < self.capacity {
            self.largest.push(Reverse(OrderedWeight(log_weight)));
        } else if let Some(mut least) = self.largest.peek_mut()
            && least.0.0 < log_weight
        {
            *least = Reverse(OrderedWeight(log_weight));
        }
    }

    /// Returns the log-weight just below the tail, and the tail in rising order; `None` if there are too few.
    fn sorted(&self) -> Option<(f64, Vec<f64>)> {
        if self.largest.len() < self.capacity || self.capacity <= MIN_TAIL_WEIGHTS {
            return None;
        }
        let mut all: Vec<f64> = self.largest.iter().map(|weight| weight.0.0).collect();
        all.sort_by(f64::total_cmp);
        let threshold = all.remove(0);
        Some((threshold, all))
    }

    /// Fits a generalised Pareto distribution to the tail. `None` if there are too few weights, or if they
    /// are all the same.
    pub fn fit(&self) -> Option<ParetoTail> {
        let (threshold, tail) = self.sorted()?;
        let reference = *tail.last()?;
        let below = (threshold - reference).exp();
        let excess: Vec<f64> = tail.iter().map(|t| (t - reference).exp() - below).collect();
        // Where the weights differ by hundreds of nats, most excesses are too small for a number.
        let (shape, scale) = if excess[quartile_index(excess.len())] > f64::MIN_POSITIVE {
            fit_generalised_pareto(&excess)?
        } else {
            let excess = tail.iter().map(|t| t + (-(threshold - t).exp()).ln_1p());
            (fit_very_heavy_tail(&excess.collect::<Vec<f64>>())?, 0.0)
        };
        Some(ParetoTail {
            shape,
            scale,
            threshold,
            reference,
        })
    }

    /// Returns sums over the tail as it is, and with its weights replaced by quantiles of the fitted
    /// distribution, none above the largest weight (Vehtari et al. 2024, §3.1).
    ///
    /// `None` if the scale of the fitted distribution is too small for a number.
    pub fn tail_sums(&self, fitted: &ParetoTail) -> Option<TailSums> {
        if fitted.scale == 0.0 {
            return None;
        }
        let (_, tail) = self.sorted()?;
        let n = tail.len() as f64;
        let below = (fitted.threshold - fitted.reference).exp();
        let quantile = |i: usize| fitted.quantile((i as f64 + 0.5) / n);
        Some(TailSums {
            reference: fitted.reference,
            raw: sum_and_sum_of_squares(tail.iter().map(|t| (t - fitted.reference).exp())),
            smoothed: sum_and_sum_of_squares(
                (0..tail.len()).map(|i| (quantile(i) + below).min(1.0)),
            ),
            expected: (tail.len() >= MIN_TAIL_FOR_EXPECTED_SUMS)
                .then(|| fitted.first_two_moments(below).map(|moment| n * moment)),
        })
    }
}

/// `Σw` and `Σw²` of a tail, with all weights divided by the largest one.
#[derive(Clone, Copy, Debug)]
pub struct TailSums {
    /// The largest log-weight.
    pub reference: f64,
    /// The sums of the weights.
    pub raw: [f64; 2],
    /// The sums of the quantiles that replace the weights.
    pub smoothed: [f64; 2],
    /// The expected sums of as many weights under the fitted distribution, which include weights that are so
    /// large that they are hardly ever drawn. `None` for a short tail, whose shape is too uncertain.
    pub expected: Option<[f64; 2]>,
}

fn sum_and_sum_of_squares(weights: impl Iterator<Item = f64>) -> [f64; 2] {
    weights.fold([0.0, 0.0], |[sum, squares], w| [sum + w, squares + w * w])
}

/// The fewest weights of a tail for which expected sums are computed. With 50 weights the shape is known to
/// 0.2. With 20, the tail of 100 draws, expected squares made standard errors 1.5 times as large as the
/// actual spread.
const MIN_TAIL_FOR_EXPECTED_SUMS: usize = 50;

/// The largest shape with which expected sums are computed; a larger one is replaced by it. A Pareto
/// distribution with a shape of ½ or more has no variance, and shapes are known only to about 0.1, so that
/// above this limit the expected square is mostly a guess.
const MAX_SHAPE_FOR_EXPECTED_SUMS: f64 = 0.45;

impl ParetoTail {
    /// Returns `E[w]` and `E[w²]` of a weight in the tail, which begins at `below`.
    fn first_two_moments(&self, below: f64) -> [f64; 2] {
        let shape = self.shape.min(MAX_SHAPE_FOR_EXPECTED_SUMS);
        let mean = self.scale / (1.0 - shape);
        let square = 2.0 * self.scale * mean / (1.0 - 2.0 * shape);
        [below + mean, below * below + 2.0 * below * mean + square]
    }

    fn quantile(&self, p: f64) -> f64 {
        let log_survival = (-p).ln_1p();
        if self.shape.abs() < 1e-12 {
            return -self.scale * log_survival;
        }
        self.scale * (-self.shape * log_survival).exp_m1() / self.shape
    }
}

/// Fits shape and scale of a generalised Pareto distribution to rising `excesses` above 0.
///
/// The estimate is a posterior mean over a grid (Zhang and Stephens 2009), with a weak prior towards a shape of
/// ½ (Vehtari et al. 2024, appendix G). With `θ = −k / σ`, the `k` of maximum likelihood has the closed form
/// `k(θ) = mean log(1 − θ x)`, so that a grid over `θ` is enough.
fn fit_generalised_pareto(excesses: &[f64]) -> Option<(f64, f64)> {
    let n = excesses.len() as f64;
    let largest = *excesses.last()?;
    let quartile = excesses[quartile_index(excesses.len())];
    if !(quartile > 0.0 && largest.is_finite()) {
        return None;
    }
    let shape_at = |minus_theta: f64| {
        excesses
            .iter()
            .map(|x| (minus_theta * x).ln_1p())
            .sum::<f64>()
            / n
    };
    let minus_theta = mean_minus_theta(
        excesses.len(),
        |distance| distance / quartile - 1.0 / largest,
        shape_at,
    );
    let shape = shape_at(minus_theta);
    let scale = shape / minus_theta;
    let shape = shape_with_prior(shape, n);
    (shape.is_finite() && scale.is_finite()).then_some((shape, scale))
}

/// As [`fit_generalised_pareto`], for the logarithms of rising excesses, whose first quartile is so far below the
/// largest that `1 / largest` is nothing beside `1 / quartile`. Returns the shape only.
fn fit_very_heavy_tail(log_excesses: &[f64]) -> Option<f64> {
    let n = log_excesses.len() as f64;
    let log_quartile = log_excesses[quartile_index(log_excesses.len())];
    if !log_quartile.is_finite() {
        return None;
    }
    // With −θ = d / quartile, log(1 − θ x) is the softplus of log d + log x − log quartile.
    let shape_at = |distance: f64| {
        let softplus = |log: f64| log.max(0.0) + (-log.abs()).exp().ln_1p();
        let shifted = log_excesses
            .iter()
            .map(|log| softplus(distance.ln() + log - log_quartile));
        shifted.sum::<f64>() / n
    };
    let distance = mean_minus_theta(log_excesses.len(), |distance| distance, shape_at);
    let shape = shape_with_prior(shape_at(distance), n);
    shape.is_finite().then_some(shape)
}

/// The posterior mean of `−θ` for `n` excesses, in any unit: `at_distance` computes it from its distance on the grid, as a
/// multiple of `1 / quartile`, and `shape_at` the shape `k(θ)`.
fn mean_minus_theta(
    n: usize,
    at_distance: impl Fn(f64) -> f64,
    shape_at: impl Fn(f64) -> f64,
) -> f64 {
    let n_grid = 30 + (n as f64).sqrt() as usize;
    let grid: Vec<(f64, f64)> = (0..n_grid)
        .map(|j| {
            let spread = (n_grid as f64 / (j as f64 + 0.5)).sqrt();
            let minus_theta = at_distance((spread - 1.0) / 3.0);
            let shape = shape_at(minus_theta);
            let log_likelihood = n as f64 * ((minus_theta / shape).ln() - shape - 1.0);
            (minus_theta, log_likelihood)
        })
        .collect();
    let most = grid.iter().map(|g| g.1).fold(f64::NEG_INFINITY, f64::max);
    let weight = |log_likelihood: f64| (log_likelihood - most).exp();
    let total: f64 = grid.iter().map(|g| weight(g.1)).sum();
    grid.iter().map(|g| g.0 * weight(g.1)).sum::<f64>() / total
}

/// The position of the first quartile of `n` rising numbers (Zhang and Stephens 2009, §3).
const fn quartile_index(n: usize) -> usize {
    (n + 2) / 4 - 1
}

/// A shape that was fitted to `n` excesses, with a prior towards ½ that counts as ten.
fn shape_with_prior(shape: f64, n: f64) -> f64 {
    let prior = 10.0;
    (n * shape + 0.5 * prior) / (n + prior)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tail of `n` evenly spaced quantiles of a Pareto distribution with this shape.
    fn pareto(shape: f64, n: usize) -> WeightTail {
        let mut tail = WeightTail::with_capacity_for_draws(n as u64);
        for i in 0..n {
            let survival: f64 = (i as f64 + 0.5) / n as f64;
            tail.push(-shape * survival.ln());
        }
        tail
    }

    #[test]
    fn the_shape_of_a_pareto_sample_is_found() {
        for shape in [0.1, 0.3, 0.5, 0.7, 1.0] {
            let found = pareto(shape, 100_000).fit().unwrap().shape;
            assert!((found - shape).abs() < 0.03, "{shape}: {found}");
        }
    }

    #[test]
    fn a_shape_is_found_however_far_the_weights_are_apart() {
        // Both ways of fitting agree where both work, and the second goes on where the first cannot. The grid does
        // not reach such shapes, so that they come out too low.
        for shape in [20.0, 60.0, 100.0] {
            let tail = pareto(shape, 100_000);
            let (threshold, weights) = tail.sorted().unwrap();
            let excess = weights.iter().map(|t| t + (-(threshold - t).exp()).ln_1p());
            let near = fit_very_heavy_tail(&excess.collect::<Vec<f64>>()).unwrap();
            let fitted = tail.fit().unwrap();
            assert!((fitted.shape / near - 1.0).abs() < 1e-6, "{shape}: {near}");
        }
        for shape in [20.0, 60.0, 300.0, 1e4, 1e8] {
            let ratio = pareto(shape, 100_000).fit().unwrap().shape / shape;
            assert!((0.7..1.03).contains(&ratio), "{shape}: {ratio}");
        }
    }

    #[test]
    fn the_order_of_weights_does_not_matter_and_memory_is_the_tail() {
        let weights: Vec<f64> = (0..10_000)
            .map(|i| f64::from(i * 7919 % 10_007).sqrt())
            .collect();
        let mut one = WeightTail::with_capacity_for_draws(10_000);
        let mut other = WeightTail::with_capacity_for_draws(10_000);
        weights.iter().for_each(|&w| one.push(w));
        weights.iter().rev().for_each(|&w| other.push(w));
        assert_eq!(one.fit(), other.fit());
        assert_eq!(one.largest.len(), 301);
    }

    #[test]
    fn smoothing_a_tail_that_is_pareto_changes_little_and_never_exceeds_the_largest() {
        let tail = pareto(0.4, 10_000);
        let fitted = tail.fit().unwrap();
        let sums = tail.tail_sums(&fitted).unwrap();
        let ratio = sums.raw[0] / sums.smoothed[0];
        assert!((ratio - 1.0).abs() < 0.02, "{sums:?}");
        assert!(sums.smoothed[1] < sums.smoothed[0]);
    }

    #[test]
    fn there_is_no_shape_of_few_or_equal_weights() {
        assert_eq!(pareto(0.5, 20).fit(), None);
        let mut equal = WeightTail::with_capacity_for_draws(1000);
        (0..1000).for_each(|_| equal.push(1.0));
        assert_eq!(equal.fit(), None);
    }

    #[test]
    fn the_threshold_depends_on_the_number_of_draws() {
        assert!((max_trusted_pareto_shape(100) - 0.5).abs() < 1e-12);
        assert!((max_trusted_pareto_shape(1_000_000) - 0.7).abs() < 1e-12);
        assert_eq!(tail_length(100), 20);
        assert_eq!(tail_length(10_000), 300);
    }
}
