//! The workloads of inference: free-form steps, the encoder, refinement, training, small fits, and `q` for
//! one new observation by each method.
//!
//! `cargo bench --profile dev -p gap-infer --bench workloads`

use criterion::{Criterion, criterion_group, criterion_main};
use gap_workloads::{bench, work};

fn workloads(criterion: &mut Criterion) {
    bench(criterion, work::all().filter(|work| !work.is_estimation()));
}

criterion_group!(benches, workloads);
criterion_main!(benches);
