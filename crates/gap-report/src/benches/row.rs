//! What one bench measured.

use serde::Serialize;

/// The throughput that one bench measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchRow {
    /// What was run: the name of a workload, or the path of another bench.
    pub work: String,
    /// Whether it is a workload. If some rows are workloads, the figure shows only those.
    pub workload: bool,
    /// The unit of the throughput, such as `steps/s`.
    pub unit: String,
    /// The throughput, positive.
    pub per_second: f64,
    /// The lower end of the throughput's confidence interval.
    pub low_per_second: f64,
    /// The upper end of the interval.
    pub high_per_second: f64,
    /// The confidence level of the interval, such as 0.95.
    pub confidence_level: f64,
    /// The estimate of the time of a run that the throughput is computed from.
    pub estimate: BenchEstimate,
    /// The date and time of the measurement: UTC, in the format of RFC 3339.
    pub measured: String,
}

/// How criterion estimates the time of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BenchEstimate {
    /// The slope of time over the number of runs, if samples have different numbers of runs.
    Slope,
    /// The mean over samples.
    Mean,
}

impl BenchEstimate {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Slope => "slope",
            Self::Mean => "mean",
        }
    }
}
