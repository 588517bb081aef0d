//! Inference in 64 bits: the ELBO and the optimum of ill-conditioned posteriors are those of the closed forms.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod searches;

use gap_data::Batch;
use gap_infer::ascent::{
    DrawSpace, EvaluationRequest, NoiseDraws, Objective, n_draws_for_latent_dim,
};
use gap_infer::{
    ClosedFormGaussianFamily, DiagonalGaussian, FullGaussian, StopReason, VariationalParams,
};
use gap_model::{ExactPosterior, LatentVariableModel, LinearGaussian};
use gap_spec::StepRule;
use gap_torch::device::set_one_thread_per_operation;
use gap_torch::{SeedKey, to_f64_values};
use searches::{CPU, sampled, searched};
use tch::{Kind, Tensor};

/// The tolerance of a spec that sets none. A search ends far below it where the score is linear.
const TOLERANCE_NATS: f64 = 0.01;

fn ill_conditioned(dim: i64, kind: Kind) -> (LinearGaussian, Batch) {
    let dims = [dim, dim.max(20) + 20];
    let key = SeedKey::root(7);
    let model = LinearGaussian::with_exact_condition_number(dims, 0.3, 1e6, key, CPU).to_kind(kind);
    let batch = sampled(&model, 10);
    let x = batch.x().to_kind(kind);
    let batch = Batch::new(batch.ids().to_vec(), x);
    (model, batch)
}

fn largest(values: &Tensor) -> f64 {
    values.abs().max().double_value(&[])
}

/// The largest difference between the ELBO of each `q`, as an evaluation computes it, and its closed form. Whitened
/// draws integrate the log joint, which is quadratic, without error; what is left is rounding.
fn worst_elbo_error(
    family: &dyn ClosedFormGaussianFamily,
    (model, batch): (&LinearGaussian, &Batch),
    params: &VariationalParams,
) -> f64 {
    let (mean, covariance) = model.posterior_moments(batch.x()).unwrap();
    let exact =
        model.log_evidence(batch.x()).unwrap() - family.kl_to_gaussian(params, &mean, &covariance);
    let exact = to_f64_values(&exact);
    let dim = model.latent_dim() as usize;
    let n_samples = n_draws_for_latent_dim(dim).max(4 * dim);
    let draws = NoiseDraws::whitened(
        SeedKey::root(8),
        n_samples,
        DrawSpace::unweighted(dim, model.kind()),
    );
    let rule = StepRule::AveragedNewton;
    let mut objective = Objective::for_family(family, rule, model, batch.x()).unwrap();
    let rows: Vec<usize> = (0..batch.len()).collect();
    let params = params.to_rows();
    let params: Vec<&[f64]> = params.iter().map(Vec::as_slice).collect();
    let request = EvaluationRequest {
        loss: true,
        ..EvaluationRequest::GRADIENT_ONLY
    };
    let evaluations = objective.evaluate(&rows, &params, &draws, request).unwrap();
    let errors = evaluations.iter().zip(&exact);
    errors.fold(0.0, |worst, (e, exact)| {
        worst.max((-e.loss_nats() - exact).abs())
    })
}

#[test]
fn the_elbo_and_the_optimum_are_exact_to_a_millionth_of_a_nat_at_condition_number_1e6() {
    set_one_thread_per_operation(); // Tests already run in parallel.
    for dim in [2, 13, 20] {
        let (model, batch) = ill_conditioned(dim, Kind::Double);
        let (mean, covariance) = model.posterior_moments(batch.x()).unwrap();
        let diagonal = DiagonalGaussian::new(dim);
        let full = FullGaussian::new(dim);
        let families: [&dyn ClosedFormGaussianFamily; 2] = [&diagonal, &full];
        for (name, family) in ["diagonal", "full"].into_iter().zip(families) {
            let fit = searched(family, &model, &batch, TOLERANCE_NATS);
            let params = &fit.fitted.params;
            assert_eq!(params.0.kind(), Kind::Double);
            let short = family.kl_to_gaussian(params, &mean, &covariance)
                - family.min_kl_to_gaussian(&covariance);
            let elbo_error = worst_elbo_error(family, (&model, &batch), params);
            println!(
                "{name}, D = {dim}: {:.1e} short, ELBO off by {elbo_error:.1e}",
                largest(&short)
            );
            assert!(largest(&short) < 1e-6, "{name}, D = {dim}: {short}");
            assert!(elbo_error < 1e-6, "{name}, D = {dim}: {elbo_error}");
            for stop in &fit.fitted.stops {
                let StopReason::Converged { remaining, .. } = stop else {
                    panic!("{name}, D = {dim}: {stop:?}");
                };
                assert!(remaining.upper_bound_nats() < 1e-6, "{name}, D = {dim}");
            }
        }
    }
}

/// What the other test holds 64 bits to is beyond 32.
#[test]
fn an_elbo_of_32_bits_is_not_exact_to_a_millionth_of_a_nat_there() {
    let (model, batch) = ill_conditioned(20, Kind::Float);
    let family = DiagonalGaussian::new(20);
    let fit = searched(&family, &model, &batch, 5e-4);
    let error = worst_elbo_error(&family, (&model, &batch), &fit.fitted.params);
    assert!(error > 1e-6, "{error}");
}

/// Observations of noise 1e-9 around numbers of size 1 cannot be told apart in 32 bits.
#[test]
fn tiny_noise_is_resolved() {
    set_one_thread_per_operation();
    for noise_std in [1e-7, 1e-9] {
        let dims = [2, 50];
        let key = SeedKey::root(9);
        let model = LinearGaussian::with_exact_condition_number(dims, noise_std, 2.0, key, CPU);
        let (x, _) = model.sample_points(SeedKey::root(10), 0..20).unwrap();
        let batch = Batch::new((0..20).collect(), x);
        let (mean, covariance) = model.posterior_moments(batch.x()).unwrap();
        let family = DiagonalGaussian::new(2);
        let fit = searched(&family, &model, &batch, TOLERANCE_NATS);
        let params = &fit.fitted.params;
        let short = family.kl_to_gaussian(params, &mean, &covariance)
            - family.min_kl_to_gaussian(&covariance);
        assert!(largest(&short) < 1e-6, "{noise_std}: {short}");
        let error = worst_elbo_error(&family, (&model, &batch), params);
        // A residual of size 1e-9 between numbers of size 1 has a relative error of 1e-7.
        assert!(error < 1e-5, "{noise_std}: {error}");
    }
}
