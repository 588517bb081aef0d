//! The full Gaussian: its closed forms, its search on models with a known answer, and its certificate.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod searches;

use gap_infer::ascent::Objective;
use gap_infer::ascent::best_step_rule_for_family;
use gap_infer::certificate::estimate_remaining_nats;
use gap_infer::{
    ClosedFormGaussianFamily, FullGaussian, StopReason, VariationalFamily, VariationalParams,
};
use gap_model::{ExactPosterior, LinearGaussian};
use gap_torch::{NoiseStream, SeedKey};
use proptest::prelude::*;
use searches::{CPU, most, sampled, searched};
use tch::{Kind, Tensor};

fn linear_gaussian(dim: i64, noise_std: f64) -> LinearGaussian {
    LinearGaussian::random(dim, 2 * dim, noise_std, SeedKey::root(6), CPU)
}

#[test]
fn the_search_ends_at_the_exact_posterior_of_a_linear_gaussian() {
    let oracles = [2, 10, 50].map(|dim| [(dim, 1.0), (dim, 0.05)]);
    for (dim, noise_std) in oracles.into_iter().flatten() {
        let model = linear_gaussian(dim, noise_std);
        let batch = sampled(&model, 20);
        let family = FullGaussian::new(dim);
        let fit = searched(&family, &model, &batch, 0.01);
        let (mean, covariance) = model.posterior_moments(batch.x()).unwrap();
        let gap = family.kl_to_gaussian(&fit.fitted.params, &mean, &covariance);
        let gap = Vec::<f64>::try_from(gap).unwrap();
        println!("D = {dim}, noise {noise_std}: {:.1e} nats", most(&gap));
        for stop in &fit.fitted.stops {
            assert!(matches!(stop, StopReason::Converged { .. }), "{stop:?}");
        }
        assert!(most(&gap) < 1e-3, "D = {dim}, noise {noise_std}: {gap:?}");
    }
}

/// Returns `λ` of the exact posteriors: `[B, Q]`.
fn posteriors(mean: &Tensor, covariance: &Tensor) -> Tensor {
    let dim = mean.size()[1];
    let factor = covariance.linalg_cholesky(false);
    let mut params = vec![mean.shallow_clone()];
    let of_all = |row: Tensor| row.unsqueeze(0).expand([mean.size()[0], -1], false);
    params.push(of_all(factor.diagonal(0, 0, 1).log()));
    for i in 1..dim {
        params.push(of_all(factor.get(i).narrow(0, 0, i)));
    }
    Tensor::cat(&params, 1)
}

#[test]
fn the_certificate_knows_its_distance_to_the_exact_posterior() {
    for dim in [2, 10, 50] {
        let model = linear_gaussian(dim, 0.5);
        let family = FullGaussian::new(dim);
        let batch = sampled(&model, 60);
        let (mean, covariance) = model.posterior_moments(batch.x()).unwrap();
        let optimum = posteriors(&mean, &covariance);
        let at_optimum = VariationalParams(optimum.shallow_clone());
        let zero = family.kl_to_gaussian(&at_optimum, &mean, &covariance);
        assert!(zero.abs().max().double_value(&[]) < 1e-9);
        let mut noise = NoiseStream::new(SeedKey::root(9), batch.ids(), CPU);
        let directions = noise.normal(1, family.param_dim()).squeeze_dim(0);
        // Moves are in proportion to the diagonal of L, so that they are equally far in every direction.
        let diagonal = covariance.linalg_cholesky(false).diagonal(0, 0, 1);
        let mut scales = vec![diagonal.copy(), diagonal.ones_like()];
        for i in 1..dim {
            scales.push(diagonal.get(i).expand([i], false));
        }
        let scale = Tensor::cat(&scales, 0);
        for size in [0.3, 1.0] {
            let size = size / (family.param_dim() as f64).sqrt();
            let moved = &optimum + directions.to_kind(Kind::Double) * &scale * size;
            let params = VariationalParams(moved.to_kind(Kind::Float));
            let truth = family.kl_to_gaussian(&params, &mean, &covariance);
            let truth = Vec::<f64>::try_from(truth).unwrap();
            let rows: Vec<usize> = (0..batch.len()).collect();
            let of_rows = params.to_rows();
            let of_rows: Vec<&[f64]> = of_rows.iter().map(Vec::as_slice).collect();
            let rule = best_step_rule_for_family(&family);
            let mut objective = Objective::for_family(&family, rule, &model, batch.x()).unwrap();
            let estimates =
                estimate_remaining_nats(&mut objective, &rows, &of_rows, 0, SeedKey::root(11))
                    .unwrap();
            let mut ratios: Vec<f64> = estimates
                .iter()
                .zip(&truth)
                .map(|(e, t)| e.nats / t)
                .collect();
            ratios.sort_by(f64::total_cmp);
            let covered = estimates
                .iter()
                .zip(&truth)
                .filter(|(e, t)| e.upper_bound_nats() >= **t);
            let covered = covered.count();
            let median = ratios[ratios.len() / 2];
            println!(
                "D = {dim}, {:.4} nats: median ratio {median:.3}, {covered} covered",
                truth[0]
            );
            assert!(
                (0.8..1.2).contains(&median),
                "D = {dim}: median ratio {median}"
            );
            assert!(
                covered * 100 >= 95 * batch.len(),
                "D = {dim}: {covered} covered"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// `KL(q ‖ p) = E_q[log q − log p]`, estimated on draws.
    #[test]
    fn the_divergence_is_that_of_its_draws(seed in 0..1000_u64) {
        let model = LinearGaussian::random(3, 6, 0.7, SeedKey::root(seed), CPU);
        let family = FullGaussian::new(3);
        let ids = [0];
        let mut noise = NoiseStream::new(SeedKey::root(seed), &ids, CPU);
        let x = noise.normal(1, 6).squeeze_dim(0);
        let params = VariationalParams(noise.normal(1, family.param_dim()).squeeze_dim(0) * 0.5);
        let (mean, covariance) = model.posterior_moments(&x).unwrap();
        let kl = family.kl_to_gaussian(&params, &mean, &covariance).double_value(&[0]);
        let draws = family.sample(&params, 4000, &mut noise);
        let target = VariationalParams(posteriors(&mean, &covariance));
        let log_p = gap_infer::EvaluableDensityFamily::log_prob(&family, &target, &draws.z);
        let log_ratio = draws.log_q - log_p;
        let bound = 5.0 * log_ratio.std(true).double_value(&[]) / 4000_f64.sqrt();
        let estimate = log_ratio.mean(Kind::Double).double_value(&[]);
        prop_assert!((estimate - kl).abs() < bound, "{estimate} for {kl}");
    }
}
