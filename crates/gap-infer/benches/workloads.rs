//! The workloads of inference: free-form steps, the encoder, refinement, training, small fits, and
//! one new observation by each method.
//!
//! `cargo bench --profile dev -p gap-infer --bench workloads`

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use gap_torch::device;
use gap_torch::math_library::{MathPath, math_path};
use gap_workloads::{Method, Work, Workload, work};
use std::hint::black_box;
use std::time::Duration;

fn workloads(criterion: &mut Criterion) {
    device::one_thread_per_operation();
    eprintln!("math library: {}", math_path());
    assert!(!cfg!(target_os = "linux") || math_path() != MathPath::NotExported);
    for work in work::all().filter(|work| !work.is_estimation()) {
        bench(criterion, work);
    }
}

fn bench(criterion: &mut Criterion, work: Work) {
    let mut group = criterion.benchmark_group(work.to_string());
    group.throughput(Throughput::Elements(work.units_per_run()));
    // Runs of 0.1 to 1 second: samples of one run or a few.
    if matches!(
        work,
        Work::FreeFormSteps { .. }
            | Work::JointTraining { .. }
            | Work::SmallFits
            | Work::OneObservation(Method::Reoptimise)
    ) {
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        group.measurement_time(Duration::from_secs(12));
    }
    // It is set up when it is first run: not where a filter leaves it out.
    let mut workload = None;
    group.bench_function(work.counted(), |bencher| {
        let workload = workload.get_or_insert_with(|| Workload::new(work));
        bencher.iter(|| black_box(workload.run()));
    });
    group.finish();
}

criterion_group!(benches, workloads);
criterion_main!(benches);
