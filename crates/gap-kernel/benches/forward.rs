//! An encoder's outputs at 1,000 rows and at one row, for binary rows and for others ("gray"), with each
//! instruction set of this machine, in rows per second.
//!
//! `cargo bench --profile dev -p gap-kernel --bench forward`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gap_kernel::{Activation, FusedForward, Instructions, Layer};
use std::hint::black_box;

const N_ROWS: usize = 1000;
const WIDTHS: [usize; 4] = [784, 200, 200, 100];

/// Numbers from −`scale` to `scale` with a period of 2,003.
fn numbers(n: usize, scale: f32) -> Vec<f32> {
    (0..n)
        .map(|i| scale * ((i * 7919 % 2003) as f32 / 1001.0 - 1.0))
        .collect()
}

/// Pseudorandom numbers between 0 and 1, without a pattern that a processor's branch prediction could learn.
fn gray_rows() -> Vec<f32> {
    let mut state = 1_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005);
        state = state.wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    (0..N_ROWS * WIDTHS[0]).map(next).collect()
}

/// Replaces numbers below `share` by 1 and all others by 0.
fn ones(gray: &[f32], share: f32) -> Vec<f32> {
    let one = |&value: &f32| f32::from(u8::from(value < share));
    gray.iter().map(one).collect()
}

fn benches_of_encoders(criterion: &mut Criterion) {
    let arrays: Vec<[Vec<f32>; 2]> = WIDTHS
        .windows(2)
        .map(|pair| {
            let scale = 1.7 / (pair[0] as f32).sqrt();
            [numbers(pair[0] * pair[1], scale), numbers(pair[1], 0.1)]
        })
        .collect();
    let layers: Vec<Layer<'_>> = arrays
        .iter()
        .map(|[weight, bias]| Layer { weight, bias })
        .collect();
    let gray = gray_rows();
    let (half, few) = (ones(&gray, 0.5), ones(&gray, 0.15));
    for n_rows in [N_ROWS, 1] {
        let mut group = criterion.benchmark_group(format!("forward-{n_rows}"));
        group.throughput(Throughput::Elements(n_rows as u64));
        for instructions in [Instructions::Avx512, Instructions::Avx2] {
            let network = FusedForward::new(&layers, Activation::Tanh, instructions);
            let Some(network) = network else { continue };
            let inputs = [("gray", &gray), ("half-set", &half), ("15%-set", &few)];
            for (kind, input) in inputs {
                let input = &input[..n_rows * WIDTHS[0]];
                let path = instructions.to_string().to_lowercase();
                group.bench_function(BenchmarkId::new(kind, path), |bencher| {
                    bencher.iter(|| network.forward(black_box(input)));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, benches_of_encoders);
criterion_main!(benches);
