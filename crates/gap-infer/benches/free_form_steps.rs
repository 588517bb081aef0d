//! The speed of free-form steps for each family and for each likelihood, in joint gradients per second.
//!
//! A run takes ten steps for 50 datapoints on 32 draws, with the family's best step rule.
//! `cargo bench --profile dev -p gap-infer --bench free_form_steps`

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use gap_data::{Batch, LoadOptions};
use gap_infer::ascent::{Objective, SearchState, best_step_rule_for_family, run_phase};
use gap_infer::family::build_family;
use gap_infer::{DiagonalGaussian, VariationalFamily};
use gap_model::likelihood::{DiscretizedLogistic, LearnedGaussian, LearnedScale};
use gap_model::{Activation, Decoder, Likelihood, Network};
use gap_spec::{Family, NoiseSource, Phase};
use gap_torch::{SeedKey, device};
use std::hint::black_box;
use tch::Device;

const LATENT_DIM: i64 = 10;
const POINTS: usize = 50;
const STEPS: u32 = 10;
const DRAWS: usize = 32;

/// The first test points of a data set.
fn points(name: &str) -> Batch {
    let data = gap_data::load(name, &LoadOptions::default()).expect("built in");
    let batch = data.test.first(POINTS).batches(POINTS, Device::Cpu).next();
    batch.expect("there are test points")
}

fn decoder(likelihood: Likelihood) -> Decoder {
    let (tanh, key) = (Activation::Tanh, SeedKey::root(0));
    let network = Network::random_perceptron(&[LATENT_DIM, 64, 64, 64], tanh, key, Device::Cpu);
    Decoder::new(network, likelihood)
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    device::set_one_thread_per_operation();
    let mut group = criterion.benchmark_group(name);
    let gradients = POINTS as u64 * u64::from(STEPS) * DRAWS as u64;
    group.throughput(Throughput::Elements(gradients));
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group
}

fn steps(
    group: &mut BenchmarkGroup<WallTime>,
    name: &str,
    family: &dyn VariationalFamily,
    model: &Decoder,
    batch: &Batch,
) {
    let phase = Phase {
        noise: NoiseSource::Sequence,
        n_samples: DRAWS as u32,
        ..Phase::new(best_step_rule_for_family(family), STEPS)
    };
    let start = family.standard_normal_params(POINTS as i64, Device::Cpu);
    let start = start.to_rows();
    let rows: Vec<usize> = (0..POINTS).collect();
    let objective = Objective::for_family(family, phase.rule, model, batch.x());
    let mut objective = objective.expect("it is the family's own rule");
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let mut states: Vec<SearchState> = start
                .iter()
                .cloned()
                .map(SearchState::starting_at)
                .collect();
            let key = SeedKey::root(0);
            run_phase(
                &mut objective,
                &phase,
                &rows,
                &mut states,
                batch.ids(),
                key,
                &mut |_| (),
            )
            .expect("sizes fit");
            black_box(states)
        });
    });
}

fn by_family(criterion: &mut Criterion) {
    let (model, batch) = (decoder(Likelihood::Bernoulli), points("digits-binarized"));
    let mut group = group(criterion, "free-form-steps-by-family");
    for &name in Family::ALL {
        let family = build_family(name, LATENT_DIM);
        steps(&mut group, name.as_str(), family.as_ref(), &model, &batch);
    }
    group.finish();
}

fn by_likelihood(criterion: &mut Criterion) {
    let scale = || LearnedScale::new(64, 0.2, 0.01, Device::Cpu);
    let likelihoods = [
        ("bernoulli", Likelihood::Bernoulli),
        ("gaussian", Likelihood::Gaussian { std: 0.2 }),
        (
            "learned-gaussian",
            Likelihood::LearnedGaussian(LearnedGaussian { std: scale() }),
        ),
        (
            "discretized-logistic",
            Likelihood::DiscretizedLogistic(DiscretizedLogistic {
                n_levels: 17,
                scale: scale(),
            }),
        ),
    ];
    let family = DiagonalGaussian::new(LATENT_DIM);
    let mut group = group(criterion, "free-form-steps-by-likelihood");
    for (name, likelihood) in likelihoods {
        let binary = matches!(likelihood, Likelihood::Bernoulli);
        let batch = points(if binary { "digits-binarized" } else { "digits" });
        steps(&mut group, name, &family, &decoder(likelihood), &batch);
    }
    group.finish();
}

criterion_group!(benches, by_family, by_likelihood);
criterion_main!(benches);
