//! What one bench measured.

use serde::Serialize;

/// The throughput that one bench measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchRow {
    /// What was run: the name of a workload, or the path of another bench.
    pub work: String,
    /// Whether it is a workload; those alone are in the figure.
    pub workload: bool,
    /// What is counted, as in `steps/s`.
    pub unit: String,
    /// How many of them a second, positive.
    pub per_second: f64,
    /// The lower end of its confidence interval.
    pub low_per_second: f64,
    /// The upper end.
    pub high_per_second: f64,
    /// The level of the interval, as in 0.95.
    pub confidence_level: f64,
    /// Which estimate of the time it is from.
    pub estimate: BenchEstimate,
    /// When it was measured: date and time, UTC, as RFC 3339 has it.
    pub measured: String,
}

/// What a time is estimated by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BenchEstimate {
    /// The slope of time over runs, where samples have different numbers of runs.
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
