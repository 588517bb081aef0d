//! The workloads of estimation: importance weights and annealing, a 50-200-200-784 decoder.
//!
//! `cargo bench --profile dev -p gap-estimate --bench workloads`

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use gap_torch::device;
use gap_torch::math_library::{MathPath, math_path};
use gap_workloads::{Workload, work};
use std::hint::black_box;
use std::time::Duration;

fn workloads(criterion: &mut Criterion) {
    device::one_thread_per_operation();
    eprintln!("math library: {}", math_path());
    assert!(!cfg!(target_os = "linux") || math_path() != MathPath::NotExported);
    for work in work::all().filter(|work| work.is_estimation()) {
        let is_long = work.units_per_run() > 10_000;
        let mut group = criterion.benchmark_group(work.to_string());
        group.throughput(Throughput::Elements(work.units_per_run()));
        if is_long {
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
}

criterion_group!(benches, workloads);
criterion_main!(benches);
