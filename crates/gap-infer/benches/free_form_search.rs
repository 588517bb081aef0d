//! The time of free-form searches as a function of the number of datapoints.
//!
//! The model is a 10-64-64-64 decoder fitted to digits. Each search starts from the prior and ends when the
//! bound on the distance to the optimum is below 0.01 nats.
//! `cargo bench --profile dev -p gap-infer --bench free_form_search`

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use gap_data::LoadOptions;
use gap_infer::free_form::{SearchMode, StartingPoint};
use gap_infer::train::fit_decoder_and_encoder;
use gap_infer::{DiagonalGaussian, Encoder, FreeFormInference};
use gap_model::{Activation, Likelihood, Mlp, MlpDecoder};
use gap_spec::{Count, Positive, Precision, TrainingSpec};
use gap_torch::math_library::{MklPath, detect_mkl_path};
use gap_torch::{SeedKey, device};
use std::hint::black_box;
use tch::Device;

const LATENT_DIM: i64 = 10;

fn search(criterion: &mut Criterion) {
    device::set_one_thread_per_operation();
    eprintln!("math library: {}", detect_mkl_path());
    assert!(!cfg!(target_os = "linux") || detect_mkl_path() != MklPath::NotExported);
    let family = DiagonalGaussian::new(LATENT_DIM);
    let data = gap_data::load("digits-binarized", &LoadOptions::default()).expect("built in");
    let tanh = Activation::Tanh;
    let key = SeedKey::root(0);
    let mut model = MlpDecoder::new(
        Mlp::random_perceptron(
            &[LATENT_DIM, 64, 64, 64],
            tanh,
            key.for_role("model"),
            Device::Cpu,
        ),
        Likelihood::Bernoulli,
    );
    let mut encoder = Encoder::with_random_layers(64, &[128, 128], &family, tanh, key, Device::Cpu);
    let training = TrainingSpec {
        steps: Count::new(4000),
        batch_size: Count::new(100),
        learning_rate: Positive::new(2e-3),
        n_samples: Count::new(1),
        precision: Precision::Mixed,
    };
    fit_decoder_and_encoder(
        &mut model,
        &family,
        &mut encoder,
        &data.train,
        (&training, 1),
        key,
        &|_| (),
    )
    .expect("the fit stays finite");
    let free_form = FreeFormInference {
        family: &family,
        starts: vec![StartingPoint::Prior],
        search: SearchMode::UntilCertified,
        tolerance_nats: 0.01,
        max_steps: 5000,
        precision: Precision::Mixed,
    };
    let mut group = criterion.benchmark_group("free-form-search");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    for n in [1, 10, 100, 500] {
        let batch = data.test.first(n).batches(n, Device::Cpu).next();
        let batch = batch.expect("there are test points");
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::from_parameter(n), |bencher| {
            bencher.iter(|| {
                let fit = free_form.search(&model, &batch, key).expect("sizes fit");
                black_box(fit.won_by)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, search);
criterion_main!(benches);
