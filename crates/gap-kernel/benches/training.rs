//! Training steps on batches of 100 rows (64 for the small networks) with each instruction set and precision of
//! this machine, in rows per second. The encoder learns from a gradient with respect to its output, the decoder
//! from observations.
//!
//! `cargo bench --profile dev -p gap-kernel --bench training`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gap_kernel::{
    Activation, FusedTraining, Instructions, KernelLikelihood, Layer, LikelihoodTarget, Precision,
};
use std::hint::black_box;

const N_ROWS: usize = 100;

/// The learning rate is so small that the weights hardly change.
const LEARNING_RATE: f64 = 1e-6;

/// Numbers from −`scale` to `scale` with a period of 2,003.
fn numbers(n: usize, scale: f32) -> Vec<f32> {
    (0..n)
        .map(|i| scale * ((i * 7919 % 2003) as f32 / 1001.0 - 1.0))
        .collect()
}

/// A learner for each instruction set and precision of this machine, with its name.
fn learners(widths: &[usize]) -> impl Iterator<Item = (String, FusedTraining)> {
    let layers: Vec<[Vec<f32>; 2]> = widths
        .windows(2)
        .map(|pair| {
            let scale = 1.7 / (pair[0] as f32).sqrt();
            [numbers(pair[0] * pair[1], scale), numbers(pair[1], 0.1)]
        })
        .collect();
    let paths = [
        (Instructions::Avx512, Precision::Full),
        (Instructions::Avx512, Precision::Mixed),
        (Instructions::Avx2, Precision::Full),
    ];
    paths
        .into_iter()
        .filter_map(move |(instructions, precision)| {
            let layers: Vec<Layer<'_>> = layers
                .iter()
                .map(|[weight, bias]| Layer { weight, bias })
                .collect();
            let mut fused = FusedTraining::new(&layers, Activation::Tanh, N_ROWS, instructions)?;
            fused.set_precision(precision);
            let name = format!("{instructions}-{precision:?}").to_lowercase();
            (fused.precision() == precision).then_some((name, fused))
        })
}

fn encoder(criterion: &mut Criterion, widths: &[usize], n_rows: usize) {
    let (n_in, n_out) = (widths[0], widths[widths.len() - 1]);
    let input = numbers(n_rows * n_in, 1.0);
    let gradient = numbers(n_rows * n_out, 0.01);
    let mut output = vec![0.0; n_rows * n_out];
    let name: Vec<String> = widths.iter().map(ToString::to_string).collect();
    let mut group = criterion.benchmark_group(name.join("-"));
    group.throughput(Throughput::Elements(n_rows as u64));
    for (path, mut fused) in learners(widths) {
        group.bench_function(BenchmarkId::new("ascend", path), |bencher| {
            bencher.iter(|| {
                fused.forward_into(black_box(&input), &mut output);
                fused.ascend_from_output_gradient(black_box(&gradient), LEARNING_RATE, None);
            });
        });
    }
    group.finish();
}

fn encoders(criterion: &mut Criterion) {
    encoder(criterion, &[784, 200, 200, 100], N_ROWS);
    for width in [4, 32, 128] {
        encoder(criterion, &[10, width, 4], 64);
    }
}

fn decoder(criterion: &mut Criterion) {
    let z = numbers(N_ROWS * 50, 2.0);
    let x: Vec<f32> = numbers(N_ROWS * 784, 1.0)
        .iter()
        .map(|x| f32::from(u8::from(*x > 0.0)))
        .collect();
    let rows: Vec<usize> = (0..N_ROWS).collect();
    let observed = LikelihoodTarget {
        x: &x,
        rows: &rows,
        likelihood: KernelLikelihood::Bernoulli,
        scale: 0.01,
    };
    let mut in_input = vec![0.0; z.len()];
    let mut group = criterion.benchmark_group("50-200-200-784");
    group.throughput(Throughput::Elements(N_ROWS as u64));
    for (path, mut fused) in learners(&[50, 200, 200, 784]) {
        group.bench_function(BenchmarkId::new("learn", path), |bencher| {
            bencher.iter(|| {
                let in_input = Some(&mut in_input[..]);
                fused.ascend_log_likelihood(black_box(&z), &observed, LEARNING_RATE, in_input);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, encoders, decoder);
criterion_main!(benches);
