//! Small models, and searches and phases of all kinds, for tests of ascents.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use gap_data::{Batch, LoadOptions};
use gap_infer::ascent::{
    EvaluationRequest, NoiseDraws, Objective, SearchState, averaged_newton_phase,
    best_step_rule_for_family, n_draws_for_latent_dim, run_phase, whitened_sobol_normals,
};
use gap_infer::free_form::{FreeFormFit, SearchMode, StartingPoint};
use gap_infer::train::fit_decoder_and_encoder;
use gap_infer::{
    ClosedFormGaussianFamily, DiagonalGaussian, Encoder, FreeFormInference, VariationalFamily,
    VariationalParams,
};
use gap_model::{
    Activation, ExactPosterior, LatentVariableModel, Likelihood, LinearGaussian, Mlp, MlpDecoder,
};
use gap_spec::{
    AdamSettings, Count, NoiseSource, Phase, Positive, Precision, StepRule, StoppingRule,
    TrainingSpec,
};
use gap_torch::device::set_one_thread_per_operation;
use gap_torch::{NoiseStream, SeedKey};
use tch::{Device, Tensor};

pub const CPU: Device = Device::Cpu;

pub fn sampled(model: &dyn LatentVariableModel, n: u64) -> Batch {
    let ids: Vec<u64> = (100..100 + n).collect();
    let mut noise = NoiseStream::new(SeedKey::root(1), &ids, CPU);
    let (x, _) = model.sample_joint(&mut noise).unwrap();
    Batch::new(ids, x)
}

pub fn only(batch: &Batch, rows: &[usize]) -> Batch {
    let index: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    Batch::new(
        rows.iter().map(|&row| batch.ids()[row]).collect(),
        batch.x().index_select(0, &Tensor::from_slice(&index)),
    )
}

pub fn decoder(widths: &[i64]) -> MlpDecoder {
    let network = Mlp::random_perceptron(widths, Activation::Tanh, SeedKey::root(2), CPU);
    MlpDecoder::new(network, Likelihood::Bernoulli)
}

/// An encoder that has not been fitted, with a different output for each datapoint.
pub fn encoder(model: &dyn LatentVariableModel) -> Encoder {
    let widths = [model.observed_dim(), 2 * model.latent_dim()];
    Encoder::new(Mlp::random_perceptron(
        &widths,
        Activation::Tanh,
        SeedKey::root(3),
        CPU,
    ))
}

/// A decoder after a short fit to binary digits, and the first `n_points` digits.
pub fn of_digits(dim: i64, hidden: i64, n_points: usize) -> (MlpDecoder, Batch) {
    of_images(
        "digits-binarized",
        Likelihood::Bernoulli,
        dim,
        hidden,
        n_points,
    )
}

/// A decoder after a short fit to the data set of 64 pixels with this name, and the first `n_points` of its images.
pub fn of_images(
    data: &str,
    likelihood: Likelihood,
    dim: i64,
    hidden: i64,
    n_points: usize,
) -> (MlpDecoder, Batch) {
    set_one_thread_per_operation(); // Tests already run in parallel.
    let data = gap_data::load(data, &LoadOptions::default()).unwrap().train;
    let family = DiagonalGaussian::new(dim);
    let (tanh, cpu) = (Activation::Tanh, Device::Cpu);
    let network = Mlp::random_perceptron(&[dim, hidden, 64], tanh, SeedKey::root(1), cpu);
    let mut decoder = MlpDecoder::new(network, likelihood);
    let mut encoder = Encoder::with_random_layers(64, &[64], &family, tanh, SeedKey::root(2), cpu);
    let training = TrainingSpec {
        steps: Count::new(800),
        batch_size: Count::new(64),
        learning_rate: Positive::new(5e-3),
        n_samples: Count::new(1),
        precision: Precision::Mixed,
    };
    let key = SeedKey::root(3);
    fit_decoder_and_encoder(
        &mut decoder,
        &family,
        &mut encoder,
        &data,
        (&training, 1),
        key,
        &|_| (),
    )
    .unwrap();
    let batch = data.first(n_points).batches(n_points, cpu).next().unwrap();
    (decoder, batch)
}

/// How far each `q` is from the closed-form optimum of its family, nats.
pub fn short_of_optimum(
    model: &LinearGaussian,
    batch: &Batch,
    params: &VariationalParams,
) -> Vec<f64> {
    let family = DiagonalGaussian::new(model.latent_dim());
    let (mean, covariance) = model.posterior_moments(batch.x()).unwrap();
    let short =
        family.kl_to_gaussian(params, &mean, &covariance) - family.min_kl_to_gaussian(&covariance);
    Vec::<f64>::try_from(short).unwrap()
}

pub fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

pub fn prior_like(n: usize, dim: i64) -> Vec<SearchState> {
    let start = DiagonalGaussian::new(dim).standard_normal_params(n as i64, CPU);
    start
        .to_rows()
        .into_iter()
        .map(SearchState::starting_at)
        .collect()
}

pub fn run_all(
    model: &dyn LatentVariableModel,
    batch: &Batch,
    phase: &Phase,
    mut states: Vec<SearchState>,
) -> Vec<SearchState> {
    let mut objective = Objective::new(model, batch.x()).unwrap();
    let rows: Vec<usize> = (0..batch.len()).collect();
    let key = SeedKey::root(4);
    run_phase(
        &mut objective,
        phase,
        &rows,
        &mut states,
        batch.ids(),
        key,
        &mut |_| (),
    )
    .unwrap();
    states
}

pub fn params_of(states: &[SearchState]) -> VariationalParams {
    let rows: Vec<&[f64]> = states.iter().map(|c| c.params.as_slice()).collect();
    VariationalParams::from_rows(&rows, CPU)
}

/// Searches `q*` of any family from the prior.
pub fn searched(
    family: &dyn VariationalFamily,
    model: &dyn LatentVariableModel,
    batch: &Batch,
    tolerance_nats: f64,
) -> FreeFormFit {
    let free_form = FreeFormInference {
        family,
        starts: vec![StartingPoint::Prior],
        search: SearchMode::UntilCertified,
        tolerance_nats,
        max_steps: 5000,
        precision: Precision::Full,
    };
    free_form.search(model, batch, SeedKey::root(5)).unwrap()
}

pub fn search(
    model: &dyn LatentVariableModel,
    batch: &Batch,
    starts: Vec<StartingPoint>,
    tolerance_nats: f64,
) -> FreeFormFit {
    let free_form = FreeFormInference {
        family: &DiagonalGaussian::new(model.latent_dim()),
        starts,
        search: SearchMode::UntilCertified,
        tolerance_nats,
        max_steps: 2000,
        precision: Precision::Mixed,
    };
    free_form.search(model, batch, SeedKey::root(5)).unwrap()
}

/// Each step rule in a phase that ends near the optimum.
pub fn phases(dim: usize) -> Vec<Phase> {
    let fixed = |rule| Phase {
        noise: NoiseSource::Fixed,
        n_samples: n_draws_for_latent_dim(dim) as u32,
        stopping: StoppingRule::Decrement,
        below_nats: 1e-4,
        ..Phase::new(rule, 500)
    };
    let adam = AdamSettings {
        learning_rate: 0.05,
        averaged: true,
        log_variance: false,
        epsilon: AdamSettings::DEFAULT_EPSILON,
    };
    vec![
        fixed(StepRule::Lbfgs),
        fixed(StepRule::NewtonStein),
        fixed(StepRule::NaturalGradient),
        averaged_newton_phase(2 * n_draws_for_latent_dim(dim), 1e-3, 100),
        Phase {
            adam,
            noise: NoiseSource::Fresh,
            n_samples: 16,
            ..Phase::new(StepRule::Adam, 600)
        },
    ]
}

/// Returns `−L` of each datapoint on `n` draws that no search has used.
pub fn losses(
    family: &dyn VariationalFamily,
    model: &dyn LatentVariableModel,
    batch: &Batch,
    params: &[Vec<f64>],
    n: usize,
) -> Vec<f64> {
    let dim = family.noise_dim() as usize;
    let draws = NoiseDraws::from_common_normals(
        whitened_sobol_normals::<f32>(SeedKey::root(31), n, dim),
        dim,
    );
    let rule = best_step_rule_for_family(family);
    let mut objective = Objective::for_family(family, rule, model, batch.x()).unwrap();
    losses_on_draws(&mut objective, params, &draws)
}

/// Returns `−L` of each datapoint on these draws, nats.
pub fn losses_on_draws(
    objective: &mut Objective,
    params: &[Vec<f64>],
    draws: &NoiseDraws,
) -> Vec<f64> {
    let rows: Vec<usize> = (0..params.len()).collect();
    let params: Vec<&[f64]> = params.iter().map(Vec::as_slice).collect();
    let request = EvaluationRequest {
        loss: true,
        ..EvaluationRequest::GRADIENT_ONLY
    };
    let evaluations = objective.evaluate(&rows, &params, draws, request).unwrap();
    evaluations.iter().map(|e| e.loss_nats()).collect()
}
