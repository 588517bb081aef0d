//! One gradient step of free-form inference: `B` datapoints, `S` draws, a 50-200-200-784 decoder.
//!
//! `cargo bench --profile dev -p gap-infer`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gap_infer::elbo_gradient::elbo_gradient;
use gap_infer::{DiagonalGaussian, VariationalFamily};
use gap_model::{Activation, LatentVariableModel, Likelihood, Mlp, MlpDecoder};
use gap_torch::math_library::{MathPath, math_path};
use gap_torch::{NoiseStream, SeedKey, device, sobol_normal_points};
use std::hint::black_box;
use tch::{Device, Tensor};

fn gradient_step(criterion: &mut Criterion) {
    device::one_thread_per_operation();
    eprintln!("math library: {}", math_path());
    assert!(!cfg!(target_os = "linux") || math_path() != MathPath::NotExported);
    let network = Mlp::random(
        &[50, 200, 200, 784],
        Activation::Tanh,
        SeedKey::root(1),
        Device::Cpu,
    );
    let model = MlpDecoder::new(network, Likelihood::Bernoulli);
    let family = DiagonalGaussian::new(50);
    let mut group = criterion.benchmark_group("elbo-gradient");
    for (batch, n_samples) in [(100, 10), (1000, 1), (32, 1)] {
        let ids: Vec<u64> = (0..batch).collect();
        let mut noise = NoiseStream::new(SeedKey::root(2), &ids, Device::Cpu);
        let (x, _) = model.sample_joint(&mut noise).expect("sizes fit");
        let params = family.prior_like_params(batch as i64, Device::Cpu);
        group.throughput(Throughput::Elements(batch * n_samples));
        group.bench_function(
            BenchmarkId::from_parameter(format!("B{batch}-S{n_samples}")),
            |bencher| {
                bencher.iter(|| {
                    let noise = sobol_normal_points(SeedKey::root(3), 0..n_samples as u32, 50);
                    let noise = Tensor::from_slice(&noise).view([n_samples as i64, 1, 50]);
                    black_box(
                        elbo_gradient(&model, &family, &params, &x, &noise).expect("sizes fit"),
                    )
                });
            },
        );
    }
    group.finish();
}

criterion_group!(benches, gradient_step);
criterion_main!(benches);
