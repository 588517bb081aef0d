//! One quantity on the datapoints of a cell, and the mean of such a column.

use gap_schema::record::Record;
use gap_schema::summary::Mean;
use gap_spec::BlockDeviations;

/// A value and its Monte Carlo error for each datapoint; the order of datapoints is the same in all columns of a
/// cell.
#[derive(Clone, Debug)]
pub(crate) struct PairedColumn(Vec<PairedValue>);

#[derive(Clone, Copy, Debug)]
struct PairedValue {
    nats: f64,
    /// The Monte Carlo variance, nats².
    variance: f64,
    /// What each block of draws adds to the value, and how many draws there are; `None` if that is unknown.
    blocks: Option<(BlockDeviations, u64)>,
}

impl PairedColumn {
    pub(crate) fn from_records<'a>(records: impl Iterator<Item = &'a Record>) -> Self {
        let value = |r: &Record| PairedValue {
            nats: r.value_nats,
            variance: r.std_error_nats.powi(2),
            blocks: r.diagnostics.blocks.map(|blocks| (blocks, r.n_samples)),
        };
        Self(records.map(value).collect())
    }

    /// Returns the paired differences.
    ///
    /// Where the blocks of both values' draws are known and equally large, they give the Monte Carlo variance of the
    /// difference. Otherwise it is the sum of the two variances, as if the draws were independent: too much if they
    /// are not, and values on the same draws move together.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        assert_eq!(
            self.0.len(),
            other.0.len(),
            "columns of one cell are as long"
        );
        let pairs = self.0.iter().zip(&other.0);
        Self(pairs.map(|(a, b)| a.minus(b)).collect())
    }

    /// Returns the column of the datapoints for which `keep` is true.
    pub(crate) fn where_true(&self, keep: &[bool]) -> Self {
        assert_eq!(self.0.len(), keep.len(), "one flag for each datapoint");
        let kept = self.0.iter().zip(keep).filter(|(_, keep)| **keep);
        Self(kept.map(|(value, _)| *value).collect())
    }

    pub(crate) fn count_negative(&self) -> u64 {
        self.0.iter().filter(|value| value.nats < 0.0).count() as u64
    }

    /// Returns for each datapoint whether its value is below zero by more than its `allowance` and `n_std_errors` Monte
    /// Carlo standard errors.
    pub(crate) fn below_zero_by_more_than(
        &self,
        allowances: &[f64],
        n_std_errors: f64,
    ) -> impl Iterator<Item = bool> {
        let values = self.0.iter().zip(allowances);
        values.map(move |(value, allowance)| {
            value.nats + allowance + n_std_errors * value.variance.sqrt() < 0.0
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the mean over datapoints.
    ///
    /// The mean is NaN without datapoints. Its standard error is NaN with fewer than two, which show no spread.
    pub(crate) fn mean(&self) -> Mean {
        let n = self.0.len() as f64;
        let variance_of_sum: f64 = self.0.iter().map(|value| value.variance).sum();
        let values: Vec<f64> = self.0.iter().map(|value| value.nats).collect();
        let (mean_nats, std_error_nats) = mean_and_std_error(&values);
        Mean {
            mean_nats,
            std_error_nats,
            mc_std_error_nats: variance_of_sum.sqrt() / n,
        }
    }
}

impl PairedValue {
    fn minus(&self, other: &Self) -> Self {
        let blocks = match (&self.blocks, &other.blocks) {
            (Some((own, n)), Some((others, n_others))) if n == n_others => {
                Some((own.minus(others), *n))
            }
            _ => None,
        };
        let independent = self.variance + other.variance;
        Self {
            nats: self.nats - other.nats,
            variance: blocks.map_or(independent, |(blocks, _)| blocks.variance()),
            blocks,
        }
    }
}

/// Returns the mean of `values` and its standard error, `sd / √n` with `n − 1` in the sample variance.
pub(crate) fn mean_and_std_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let sum_of_squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let std_error = if values.len() < 2 {
        f64::NAN
    } else {
        (sum_of_squares / (n - 1.0) / n).sqrt()
    };
    (mean, std_error)
}

/// Returns the mean of some numbers; `None` if there are none.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| mean_and_std_error(&values).0)
}
