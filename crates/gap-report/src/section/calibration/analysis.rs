//! Checks reported standard errors: from rows of replicates to calibrations, and from these to groups over
//! datapoints for tables and figures.

use crate::variant::variant_sort_key;
use gap_schema::summary::EstimatorCalibration;
use gap_schema::{CalibrationRow, Summary};
use gap_spec::{Estimator, Side};

/// The range in which the coverage of 95% intervals must be if the reported standard error is to count as
/// correct.
pub(super) const COVERAGE_BAND: [f64; 2] = [0.93, 0.97];

/// Returns the calibration of each row, sorted by variant, latent dimension, estimator and setting, then by
/// seed and datapoint; the order of `rows` has no effect.
pub(super) fn summarize_calibrations(rows: &[CalibrationRow]) -> Vec<EstimatorCalibration> {
    let mut rows: Vec<&CalibrationRow> = rows.iter().collect();
    rows.sort_by(|a, b| {
        let groups = group_key(a).cmp(&group_key(b));
        groups.then((a.seed, a.datapoint).cmp(&(b.seed, b.datapoint)))
    });
    rows.into_iter().map(summarize_calibration).collect()
}

/// Rows with the same key form a group: their settings are the same, while seed and datapoint differ.
fn group_key(row: &CalibrationRow) -> impl Ord + use<'_> {
    // An adaptive estimator chooses its number of draws, so this is no setting.
    let draws = match row.estimator {
        Estimator::AdaptiveImportanceWeighted => 0,
        _ => row.n_samples.round() as u64,
    };
    let variant = variant_sort_key(row.variant.as_deref());
    let setting = (row.n_temperatures, draws);
    (variant, row.latent_dim, row.estimator, row.side, setting)
}

fn summarize_calibration(row: &CalibrationRow) -> EstimatorCalibration {
    let n = finite_replicates(row);
    let [coverage_low, coverage_high] = wilson_interval(row.coverage, n);
    let std_error_ratio = row.std_error_nats / row.spread_nats;
    EstimatorCalibration {
        coverage_low,
        coverage_high,
        std_error_ratio,
        std_error_ratio_std_error: std_error_ratio / (2.0 * (n - 1.0)).sqrt(),
        minus_target_nats: row.target_nats.map(|target| row.mean_nats - target),
        side_holds: is_bias_on_stated_side(row),
        row: row.clone(),
    }
}

/// Returns the number of replicates with a finite estimate.
fn finite_replicates(row: &CalibrationRow) -> f64 {
    row.n_replicates.saturating_sub(row.non_finite) as f64
}

/// By how many of its standard errors a bias may be on the wrong side. A report has dozens of biases; with a
/// limit of two, one or two of them would exceed it by chance.
pub(super) const WRONG_SIDE_TOLERANCE_STD_ERRORS: f64 = 3.0;

fn is_bias_on_stated_side(row: &CalibrationRow) -> Option<bool> {
    let (bias, margin) = (
        row.bias_nats,
        WRONG_SIDE_TOLERANCE_STD_ERRORS * row.bias_std_error_nats,
    );
    let holds = match row.side {
        Side::Lower => bias <= margin,
        Side::Upper => bias >= -margin,
        Side::Exact => bias.abs() <= margin,
        Side::Neither => return None,
    };
    (bias.is_finite() && margin.is_finite()).then_some(holds)
}

/// Returns the 95% interval of Wilson (1927) for a probability, given that a fraction `part` of `n` trials
/// succeeded.
fn wilson_interval(part: f64, n: f64) -> [f64; 2] {
    const NORMAL_QUANTILE_975: f64 = 1.959_963_984_540_054; // The normal quantile at 0.975.
    let shrink = 1.0 / (1.0 + NORMAL_QUANTILE_975 * NORMAL_QUANTILE_975 / n);
    let centre = shrink * (part + 0.5 * NORMAL_QUANTILE_975 * NORMAL_QUANTILE_975 / n);
    let half = shrink
        * NORMAL_QUANTILE_975
        * (part * (1.0 - part) / n + 0.25 * NORMAL_QUANTILE_975 * NORMAL_QUANTILE_975 / (n * n))
            .sqrt();
    [centre - half, centre + half]
}

/// A fraction of replicates, with its 95% interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Coverage {
    pub(super) part: f64,
    pub(super) interval: [f64; 2],
}

impl Coverage {
    /// Pools fractions, each given with its number of replicates; `None` if there are no replicates.
    fn pooled(parts: impl Iterator<Item = (f64, f64)>) -> Option<Self> {
        let parts = parts.filter(|(part, n)| part.is_finite() && *n > 0.0);
        let (held, n) = parts.fold((0.0, 0.0), |(held, all), (part, n)| {
            (held + part * n, all + n)
        });
        (n > 0.0).then(|| Self {
            part: held / n,
            interval: wilson_interval(held / n, n),
        })
    }
}

/// A mean over datapoints. Its standard error is that of the replicates, without the spread over datapoints.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ReplicateMean {
    pub(super) mean: f64,
    pub(super) std_error: f64,
}

impl ReplicateMean {
    /// Averages values, each given with its standard error. Values that are not finite are left out; `None` if
    /// none is left.
    fn new(numbers: impl Iterator<Item = (f64, f64)>) -> Option<Self> {
        let finite: Vec<(f64, f64)> = numbers.filter(|(value, _)| value.is_finite()).collect();
        let n = finite.len() as f64;
        let sum: f64 = finite.iter().map(|(value, _)| value).sum();
        let variance: f64 = finite.iter().map(|(_, std_error)| std_error.powi(2)).sum();
        (n > 0.0).then(|| Self {
            mean: sum / n,
            std_error: variance.sqrt() / n,
        })
    }
}

/// The calibrations of one estimator with one setting on one problem, one for each seed and datapoint; there is
/// at least one.
pub(super) struct CalibrationGroup<'a> {
    pub(super) points: Vec<&'a EstimatorCalibration>,
}

impl<'a> CalibrationGroup<'a> {
    /// Returns the groups of a summary, problem by problem.
    pub(super) fn group_calibrations(summary: &'a Summary) -> Vec<Self> {
        let points: Vec<&EstimatorCalibration> = summary.calibration.iter().collect();
        points
            .chunk_by(|a, b| group_key(&a.row) == group_key(&b.row))
            .map(|points| Self {
                points: points.to_vec(),
            })
            .collect()
    }

    /// Returns the first row. Its settings are those of all rows of the group.
    pub(super) fn first(&self) -> &'a CalibrationRow {
        &self.points[0].row
    }

    /// Returns the problem that the estimator was tried on: the variant, if there are several, and the latent
    /// dimension.
    pub(super) fn problem(&self) -> (Option<&'a str>, u32) {
        let first = self.first();
        (first.variant.as_deref(), first.latent_dim)
    }

    pub(super) fn coverage(&self) -> Option<Coverage> {
        let rows = self.points.iter().map(|point| &point.row);
        Coverage::pooled(rows.map(|row| (row.coverage, finite_replicates(row))))
    }

    /// Returns [`Self::coverage`] over the replicates that are not marked as unreliable.
    pub(super) fn coverage_trusted(&self) -> Option<Coverage> {
        let rows = self.points.iter().map(|point| &point.row);
        Coverage::pooled(rows.filter_map(|row| {
            let trusted = finite_replicates(row) - row.untrusted as f64;
            Some((row.coverage_trusted?, trusted))
        }))
    }

    /// Counts the datapoints whose own 95% interval for the coverage is entirely below `part`.
    pub(super) fn points_below(&self, part: f64) -> usize {
        let points = self.points.iter();
        points.filter(|point| point.coverage_high < part).count()
    }

    /// Averages over datapoints the value that `number` returns along with its standard error.
    pub(super) fn mean(
        &self,
        number: impl Fn(&EstimatorCalibration) -> Option<(f64, f64)>,
    ) -> Option<ReplicateMean> {
        ReplicateMean::new(self.points.iter().filter_map(|point| number(point)))
    }

    pub(super) fn bias(&self) -> Option<ReplicateMean> {
        self.mean(|point| Some((point.row.bias_nats, point.row.bias_std_error_nats)))
    }

    /// Returns the sum of a count over the group's datapoints.
    pub(super) fn total(&self, count: impl Fn(&CalibrationRow) -> u64) -> u64 {
        self.points.iter().map(|point| count(&point.row)).sum()
    }
}
