//! Importance weighting of 100 datapoints with `K` draws each, under a 50-200-200-784 decoder.
//!
//! `cargo bench --profile dev -p gap-estimate`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gap_data::Batch;
use gap_estimate::{ImportanceWeighted, PosteriorEstimator, estimate_all};
use gap_infer::{DiagonalGaussian, VariationalFamily};
use gap_model::{Activation, LatentVariableModel, Likelihood, Mlp, MlpDecoder};
use gap_torch::math_library::{MklPath, detect_mkl_path};
use gap_torch::{NoiseStream, SeedKey, device};
use std::hint::black_box;
use tch::Device;

fn importance_weights(criterion: &mut Criterion) {
    device::set_one_thread_per_operation();
    eprintln!("math library: {}", detect_mkl_path());
    assert!(!cfg!(target_os = "linux") || detect_mkl_path() != MklPath::NotExported);
    let network = Mlp::random_perceptron(
        &[50, 200, 200, 784],
        Activation::Tanh,
        SeedKey::root(1),
        Device::Cpu,
    );
    let model = MlpDecoder::new(network, Likelihood::Bernoulli);
    let family = DiagonalGaussian::new(50);
    let ids: Vec<u64> = (0..100).collect();
    let mut noise = NoiseStream::new(SeedKey::root(2), &ids, Device::Cpu);
    let (x, _) = model.sample_joint(&mut noise).expect("sizes fit");
    let batch = Batch::new(ids, x);
    let params = family.standard_normal_params(100, Device::Cpu);
    let mut group = criterion.benchmark_group("importance-weights");
    group.sample_size(10);
    for n_samples in [100, 1000] {
        let estimator = ImportanceWeighted { n_samples };
        group.throughput(Throughput::Elements(100 * n_samples));
        group.bench_function(BenchmarkId::new("K", n_samples), |bencher| {
            let estimators: [&dyn PosteriorEstimator; 1] = [&estimator];
            bencher.iter(|| {
                let key = SeedKey::root(3);
                black_box(
                    estimate_all(&model, &family, &params, &batch, &estimators, key)
                        .expect("sizes fit"),
                )
            });
        });
    }
    group.finish();
}

criterion_group!(benches, importance_weights);
criterion_main!(benches);
