//! A criterion group for each workload: the benches of all crates are set up here.

use crate::work::{Method, Work};
use crate::workload::Workload;
use criterion::{Criterion, SamplingMode, Throughput};
use gap_torch::device;
use gap_torch::math_library::{MklPath, detect_mkl_path};
use std::hint::black_box;
use std::time::Duration;

/// Benches `works`, each in a group of its own, on one thread.
///
/// # Panics
///
/// If the executable does not export the switch of the math library: its times would be of another path.
pub fn bench(criterion: &mut Criterion, works: impl IntoIterator<Item = Work>) {
    device::set_one_thread_per_operation();
    eprintln!("math library: {}", detect_mkl_path());
    assert!(!cfg!(target_os = "linux") || detect_mkl_path() != MklPath::NotExported);
    for work in works {
        let mut group = criterion.benchmark_group(work.to_string());
        group.throughput(Throughput::Elements(work.units_per_run()));
        if is_long_running(work) {
            group.sampling_mode(SamplingMode::Flat).sample_size(10);
            group.measurement_time(Duration::from_secs(12));
        }
        // It is set up when it is first run: not where a filter leaves it out.
        let mut workload = None;
        group.bench_function(work.counted_unit(), |bencher| {
            let workload = workload.get_or_insert_with(|| Workload::new(work));
            bencher.iter(|| black_box(workload.run()));
        });
        group.finish();
    }
}

/// Whether a run takes 0.1 to 1 second: samples are then of one run or a few.
const fn is_long_running(work: Work) -> bool {
    match work {
        Work::FreeFormSteps { .. }
        | Work::JointTraining { .. }
        | Work::Annealing { .. }
        | Work::SmallFits
        | Work::OneObservation(Method::Reoptimise) => true,
        Work::ImportanceWeights { n_samples } => n_samples > 10_000,
        Work::EncoderForward { .. }
        | Work::Refinement { .. }
        | Work::OneObservation(Method::Forward | Method::Refine) => false,
    }
}
