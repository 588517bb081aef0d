//! Sets up a criterion group for each workload, for the benches of all crates.

use crate::work::{Method, Work};
use crate::workload::Workload;
use criterion::{Criterion, SamplingMode, Throughput};
use gap_torch::device;
use gap_torch::math_library::{MklPath, detect_mkl_path};
use std::hint::black_box;
use std::time::Duration;

/// Measures each of `works` in a criterion group of its own, on one thread.
///
/// # Panics
///
/// On Linux, if the executable does not export the math-library switch: MKL might then use another code path
/// than it does in `amortgap`.
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
        // The workload is set up at its first run, so that those that criterion's filter leaves out are never
        // set up.
        let mut workload = None;
        group.bench_function(work.counted_unit(), |bencher| {
            let workload = workload.get_or_insert_with(|| Workload::new(work));
            bencher.iter(|| black_box(workload.run()));
        });
        group.finish();
    }
}

/// Whether a run takes so long (0.1 to 1 second) that a criterion sample should consist of one run or a few.
const fn is_long_running(work: Work) -> bool {
    match work {
        Work::FreeFormSteps { .. }
        | Work::JointTraining { .. }
        | Work::Annealing { .. }
        | Work::SmallFits
        | Work::RefinementToGap
        | Work::OneObservation(Method::Reoptimise) => true,
        Work::ImportanceWeights { n_samples } => n_samples > 10_000,
        Work::EncoderForward { .. }
        | Work::Refinement { .. }
        | Work::OneObservation(Method::Forward | Method::Refine) => false,
    }
}
