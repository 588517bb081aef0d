//! Scores and log likelihoods of 1,000 rows with each instruction set and precision of this machine, in rows
//! per second.
//!
//! `cargo bench --profile dev -p gap-kernel`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gap_kernel::{
    Activation, DecoderOutputs, FusedDecoder, Instructions, KernelLikelihood, Layer, Network,
    Precision,
};
use std::hint::black_box;

const N_ROWS: usize = 1000;
const N_OBSERVATIONS: usize = 100;

/// Numbers from −`scale` to `scale` with a period of 2,003.
fn numbers(n: usize, scale: f32) -> Vec<f32> {
    (0..n)
        .map(|i| scale * ((i * 7919 % 2003) as f32 / 1001.0 - 1.0))
        .collect()
}

fn of_widths(criterion: &mut Criterion, widths: &[usize]) {
    let layers: Vec<[Vec<f32>; 2]> = widths
        .windows(2)
        .map(|pair| {
            let scale = 1.7 / (pair[0] as f32).sqrt();
            [numbers(pair[0] * pair[1], scale), numbers(pair[1], 0.1)]
        })
        .collect();
    let layers: Vec<Layer<'_>> = layers
        .iter()
        .map(|[weight, bias]| Layer { weight, bias })
        .collect();
    let network = Network {
        layers: &layers,
        activation: Activation::Tanh,
        likelihood: KernelLikelihood::Bernoulli,
    };
    let (dim, observed) = (widths[0], widths[widths.len() - 1]);
    let x: Vec<f32> = numbers(N_OBSERVATIONS * observed, 1.0)
        .iter()
        .map(|x| f32::from(u8::from(*x > 0.0)))
        .collect();
    let observations: Vec<usize> = (0..N_ROWS).map(|row| row % N_OBSERVATIONS).collect();
    let z = numbers(N_ROWS * dim, 2.0);
    let name: Vec<String> = widths.iter().map(ToString::to_string).collect();
    let mut group = criterion.benchmark_group(name.join("-"));
    group.throughput(Throughput::Elements(N_ROWS as u64));
    for (instructions, precision) in [
        (Instructions::Avx512, Precision::Full),
        (Instructions::Avx512, Precision::Mixed),
        (Instructions::Avx2, Precision::Full),
    ] {
        if precision == Precision::Mixed && !instructions.has_bf16() {
            continue;
        }
        let Some(decoder) = FusedDecoder::new(&network, instructions) else {
            continue;
        };
        let decoder = decoder.condition(&x);
        let (mut score, mut values) = (vec![0.0; z.len()], vec![0.0; N_ROWS]);
        let path = format!("{instructions}-{precision:?}").to_lowercase();
        group.bench_function(BenchmarkId::new("score", &path), |bencher| {
            bencher.iter(|| {
                let wanted = DecoderOutputs {
                    score: Some(&mut score),
                    precision,
                    ..DecoderOutputs::default()
                };
                decoder.evaluate(&observations, black_box(&z), wanted);
            });
        });
        group.bench_function(BenchmarkId::new("log-likelihood", &path), |bencher| {
            bencher.iter(|| {
                let wanted = DecoderOutputs {
                    log_likelihood: Some(&mut values),
                    precision,
                    ..DecoderOutputs::default()
                };
                decoder.evaluate(&observations, black_box(&z), wanted);
            });
        });
    }
    group.finish();
}

fn benches_of_decoders(criterion: &mut Criterion) {
    of_widths(criterion, &[50, 200, 200, 784]);
    of_widths(criterion, &[10, 64, 64, 64]);
}

criterion_group!(benches, benches_of_decoders);
criterion_main!(benches);
