//! The workloads of estimation: importance weights and annealing, under a 50-200-200-784 decoder.
//!
//! `cargo bench --profile dev -p gap-estimate --bench workloads`

use criterion::{Criterion, criterion_group, criterion_main};
use gap_workloads::{bench, work};

fn workloads(criterion: &mut Criterion) {
    bench(criterion, work::all().filter(|work| work.is_estimation()));
}

criterion_group!(benches, workloads);
criterion_main!(benches);
