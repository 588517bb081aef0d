//! Reads the benchmark results that criterion stored: `<group>/<function>/[<value>/]new/*.json`.
//!
//! Criterion stores the time of a run in nanoseconds, and how many things a run processes, but not what they
//! are. For a workload, the name of the bench function says that: `<workload>/steps` counts steps.

use crate::exit::Failure;
use gap_report::{BenchEstimate, BenchRow};
use gap_spec::input_file;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::time::SystemTime;
use walkdir::WalkDir;

/// `benchmark.json`: what was run.
#[derive(Deserialize)]
struct CriterionBenchmark {
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
    throughput: Option<CriterionThroughput>,
    full_id: String,
}

/// How much one run processes.
#[derive(Clone, Copy, Deserialize)]
enum CriterionThroughput {
    Bits(u64),
    Bytes(u64),
    BytesDecimal(u64),
    Elements(u64),
    ElementsAndBytes { elements: u64 },
}

/// `estimates.json`: how long a run took.
#[derive(Deserialize)]
struct CriterionTimeEstimates {
    mean: CriterionTimeEstimate,
    slope: Option<CriterionTimeEstimate>,
}

#[derive(Deserialize)]
struct CriterionTimeEstimate {
    /// Nanoseconds per run.
    point_estimate: f64,
    confidence_interval: ConfidenceInterval,
}

#[derive(Deserialize)]
struct ConfidenceInterval {
    confidence_level: f64,
    lower_bound: f64,
    upper_bound: f64,
}

/// Reads the last results of every bench below `folder`: workloads first, sorted by name, then the others.
pub fn read_bench_rows(folder: &Path) -> Result<Vec<BenchRow>, Failure> {
    let none = || {
        Failure::Input(format!(
            "{}: there are no results of benches here; run scripts/bench, or name the folder that criterion wrote with --criterion",
            folder.display()
        ))
    };
    if !folder.is_dir() {
        return Err(none());
    }
    let mut rows = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(Failure::from_input_error)?;
        // The folders beside `new` hold older results, under the names of criterion's baselines.
        let is_last = entry
            .path()
            .parent()
            .is_some_and(|dir| dir.ends_with("new"));
        if is_last && entry.file_name() == "benchmark.json" {
            rows.push(read_row(entry.path())?);
        }
    }
    if rows.is_empty() {
        return Err(none());
    }
    rows.sort_by_cached_key(bench_sort_key);
    Ok(rows)
}

/// What workloads count. A bench whose function has another name is not that of a workload.
const WORKLOAD_COUNT_UNITS: [&str; 6] = [
    "steps",
    "points",
    "samples",
    "transitions",
    "jobs",
    "observations",
];

/// The size of the longest file that is read; those that criterion writes have about a kilobyte.
const MOST_JSON_BYTES: u64 = 1 << 20;

/// Reads the results of the bench that `benchmark.json` describes.
fn read_row(benchmark_file: &Path) -> Result<BenchRow, Failure> {
    let estimates_file = benchmark_file.with_file_name("estimates.json");
    let benchmark: CriterionBenchmark = read_json(benchmark_file)?;
    let estimates: CriterionTimeEstimates = read_json(&estimates_file)?;
    let measured = fs::metadata(&estimates_file)
        .and_then(|data| data.modified())
        .map_err(|error| unreadable_file_failure(&estimates_file, &error))?;
    let row = new_bench_row(&benchmark, &estimates, measured);
    let rates = [row.low_per_second, row.per_second, row.high_per_second];
    if !rates.iter().all(|rate| rate.is_finite() && *rate > 0.0) {
        return Err(Failure::Input(format!(
            "{}: has a time that is not positive, or benchmark.json beside it no amount; run this bench again",
            estimates_file.display(),
        )));
    }
    Ok(row)
}

/// A key that sorts workloads by the parts of their names, and puts all others after them with equal keys.
fn bench_sort_key(row: &BenchRow) -> impl Ord + use<> {
    let name = row.workload.then(|| row.work.split('_').map(str::to_owned));
    (!row.workload, name.map(Iterator::collect::<Vec<_>>))
}

impl CriterionBenchmark {
    /// What the workload counts; `None` if this is not the bench of a workload.
    fn workload_count_unit(&self) -> Option<&str> {
        let function = self.function_id.as_deref()?;
        let is_workload = self.value_str.is_none()
            && WORKLOAD_COUNT_UNITS.contains(&function)
            && matches!(self.throughput, Some(CriterionThroughput::Elements(_)));
        is_workload.then_some(function)
    }

    /// How much one run processes, and the unit of the resulting rate.
    fn count_and_rate_unit(&self) -> (u64, &'static str) {
        match self.throughput {
            None => (1, "runs/s"),
            Some(CriterionThroughput::Bits(n)) => (n, "bits/s"),
            Some(CriterionThroughput::Bytes(n) | CriterionThroughput::BytesDecimal(n)) => {
                (n, "bytes/s")
            }
            Some(
                CriterionThroughput::Elements(n)
                | CriterionThroughput::ElementsAndBytes { elements: n },
            ) => (n, "elements/s"),
        }
    }
}

fn new_bench_row(
    benchmark: &CriterionBenchmark,
    estimates: &CriterionTimeEstimates,
    measured: SystemTime,
) -> BenchRow {
    let (amount, unit) = benchmark.count_and_rate_unit();
    let counted = benchmark.workload_count_unit();
    // Criterion's own reports also use the slope where there is one.
    let (estimate, time) = match &estimates.slope {
        Some(slope) => (BenchEstimate::Slope, slope),
        None => (BenchEstimate::Mean, &estimates.mean),
    };
    let per_second = |nanoseconds: f64| amount as f64 * 1e9 / nanoseconds;
    BenchRow {
        work: counted
            .map_or(&benchmark.full_id, |_| &benchmark.group_id)
            .clone(),
        workload: counted.is_some(),
        unit: counted.map_or_else(|| unit.to_owned(), |counted| format!("{counted}/s")),
        per_second: per_second(time.point_estimate),
        low_per_second: per_second(time.confidence_interval.upper_bound),
        high_per_second: per_second(time.confidence_interval.lower_bound),
        confidence_level: time.confidence_interval.confidence_level,
        estimate,
        measured: humantime::format_rfc3339_seconds(measured).to_string(),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = input_file::read_text(path, MOST_JSON_BYTES)
        .map_err(|error| unreadable_file_failure(path, &error))?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::Input(format!(
            "{}:{}:{}: is not what criterion writes: {error}; run this bench again",
            path.display(),
            error.line(),
            error.column()
        ))
    })
}

fn unreadable_file_failure(path: &Path, error: &dyn Display) -> Failure {
    Failure::Input(format!(
        "{}: cannot be read: {error}; run this bench again",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NANOSECONDS: f64 = 2e6;

    fn benchmark(
        function: Option<&str>,
        value: Option<&str>,
        throughput: Value,
    ) -> CriterionBenchmark {
        let ids = [Some("W4_K1000"), function, value].into_iter().flatten();
        serde_json::from_value(json!({
            "group_id": "W4_K1000", "function_id": function, "value_str": value,
            "throughput": throughput, "full_id": ids.collect::<Vec<_>>().join("/"),
            "directory_name": "W4_K1000", "title": "W4_K1000",
        }))
        .unwrap()
    }

    fn estimates(with_slope: bool) -> CriterionTimeEstimates {
        let estimate = |nanoseconds: f64| {
            json!({
                "confidence_interval": {"confidence_level": 0.95, "lower_bound": 0.8 * nanoseconds,
                    "upper_bound": 1.25 * nanoseconds},
                "point_estimate": nanoseconds, "standard_error": 0.1 * nanoseconds,
            })
        };
        let slope = with_slope.then(|| estimate(NANOSECONDS));
        serde_json::from_value(json!({"mean": estimate(2.0 * NANOSECONDS), "slope": slope}))
            .unwrap()
    }

    fn row_of(benchmark: &CriterionBenchmark, estimates: &CriterionTimeEstimates) -> BenchRow {
        new_bench_row(benchmark, estimates, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn a_workload_has_its_unit_and_the_slope_where_there_is_one() {
        let benchmark = benchmark(Some("samples"), None, json!({"Elements": 1000}));
        let slope = row_of(&benchmark, &estimates(true));
        assert_eq!(
            (slope.work.as_str(), slope.unit.as_str()),
            ("W4_K1000", "samples/s")
        );
        assert!(slope.workload);
        assert_eq!(slope.estimate, BenchEstimate::Slope);
        assert_eq!(slope.per_second, 1000.0 / 2e-3);
        assert_eq!(slope.low_per_second, 1000.0 / 2.5e-3);
        assert_eq!(slope.high_per_second, 1000.0 / 1.6e-3);
        assert_eq!(slope.measured, "1970-01-01T00:00:00Z");
        let mean = row_of(&benchmark, &estimates(false));
        assert_eq!(mean.estimate, BenchEstimate::Mean);
        assert_eq!(mean.per_second, 1000.0 / 4e-3);
    }

    #[test]
    fn workloads_come_in_the_order_of_their_names_part_by_part_and_before_others() {
        let row_named = |group: &str| {
            let benchmark = CriterionBenchmark {
                group_id: group.to_owned(),
                ..benchmark(Some("steps"), None, json!({"Elements": 1}))
            };
            row_of(&benchmark, &estimates(true))
        };
        let names = [
            "W1_B100_S10",
            "W1_B1000_S1",
            "W1_B32_S1",
            "W7_24jobs",
            "one_observation_forward",
        ];
        let mut rows: Vec<BenchRow> = names.map(row_named).into();
        let other = benchmark(Some("else"), None, json!({"Elements": 1}));
        rows.push(row_of(&other, &estimates(true)));
        let places = |rows: &[BenchRow]| rows.iter().map(bench_sort_key).is_sorted();
        assert!(places(&rows));
        rows.swap(0, 1);
        assert!(!places(&rows));
    }

    #[test]
    fn another_bench_in_the_group_of_a_workload_is_not_the_workload() {
        let elements = json!({"Elements": 1000});
        for (function, value, throughput, unit, work) in [
            (None, None, elements.clone(), "elements/s", "W4_K1000"),
            (
                Some("else"),
                None,
                elements.clone(),
                "elements/s",
                "W4_K1000/else",
            ),
            (
                Some("samples"),
                Some("7"),
                elements,
                "elements/s",
                "W4_K1000/samples/7",
            ),
            (
                Some("samples"),
                None,
                Value::Null,
                "runs/s",
                "W4_K1000/samples",
            ),
            (
                Some("samples"),
                None,
                json!({"BytesDecimal": 8}),
                "bytes/s",
                "W4_K1000/samples",
            ),
            (
                Some("samples"),
                None,
                json!({"ElementsAndBytes": {"elements": 5, "bytes": 20}}),
                "elements/s",
                "W4_K1000/samples",
            ),
        ] {
            let row = row_of(&benchmark(function, value, throughput), &estimates(true));
            assert_eq!((row.work.as_str(), row.unit.as_str()), (work, unit));
            assert!(!row.workload, "{work}");
        }
    }
}
