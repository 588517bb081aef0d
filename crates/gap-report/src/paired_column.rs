//! One quantity on the datapoints of a cell, and the mean of such a column.

use gap_schema::record::Record;
use gap_schema::summary::Mean;

/// A value and its Monte Carlo variance for each datapoint; the order of datapoints is the same in all columns
/// of a cell.
#[derive(Clone, Debug)]
pub(crate) struct PairedColumn(Vec<(f64, f64)>);

impl PairedColumn {
    pub(crate) fn from_records<'a>(records: impl Iterator<Item = &'a Record>) -> Self {
        Self(
            records
                .map(|r| (r.value_nats, r.std_error_nats.powi(2)))
                .collect(),
        )
    }

    /// Returns the paired differences. Their Monte Carlo variances are sums, as if the draws were independent.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        assert_eq!(
            self.0.len(),
            other.0.len(),
            "columns of one cell are as long"
        );
        let pairs = self.0.iter().zip(&other.0);
        Self(pairs.map(|(a, b)| (a.0 - b.0, a.1 + b.1)).collect())
    }

    /// Returns the column of the datapoints for which `keep` is true.
    pub(crate) fn where_true(&self, keep: &[bool]) -> Self {
        assert_eq!(self.0.len(), keep.len(), "one flag for each datapoint");
        let kept = self.0.iter().zip(keep).filter(|(_, keep)| **keep);
        Self(kept.map(|(value, _)| *value).collect())
    }

    pub(crate) fn count_negative(&self) -> u64 {
        self.0.iter().filter(|(value, _)| *value < 0.0).count() as u64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the mean over datapoints.
    ///
    /// The mean is NaN without datapoints. Its standard error is NaN with fewer than two, which show no spread.
    pub(crate) fn mean(&self) -> Mean {
        let n = self.0.len() as f64;
        let variance_of_sum: f64 = self.0.iter().map(|(_, variance)| variance).sum();
        let values: Vec<f64> = self.0.iter().map(|(value, _)| *value).collect();
        let (mean_nats, std_error_nats) = mean_and_std_error(&values);
        Mean {
            mean_nats,
            std_error_nats,
            mc_std_error_nats: variance_of_sum.sqrt() / n,
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
