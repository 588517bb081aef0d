//! Adaptive importance weighting: the number of draws follows from the standard error, and a share of the
//! prior bounds the weights.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod oracle_problem;

use gap_data::Batch;
use gap_estimate::{Estimate, EstimateError, estimate_adaptively};
use gap_infer::family::build_family;
use gap_infer::{DiagonalGaussian, VariationalFamily, VariationalParams};
use gap_model::{ExactPosterior, LinearGaussian};
use gap_spec::{AdaptiveSpec, Count, Family, Positive, Trust};
use gap_torch::SeedKey;
use oracle_problem::{drawn, exact_evidence, optimum, oracle};
use tch::Device;

const ADAPTIVE: AdaptiveSpec = AdaptiveSpec {
    target_std_error_nats: Positive::new(0.02),
    first_samples: Count::new(100),
    most_samples: Count::new(100_000),
    prior_share: 0.0,
};

fn estimates(
    adaptive: AdaptiveSpec,
    model: &LinearGaussian,
    params: &VariationalParams,
    batch: &Batch,
) -> Vec<Estimate> {
    let family = DiagonalGaussian::new(params.0.size()[1] / 2);
    let key = SeedKey::root(3);
    estimate_adaptively(&adaptive, model, &family, params, batch, key).unwrap()
}

#[test]
fn k_is_doubled_until_the_error_is_small_enough_or_the_cap_is_reached() {
    let model = oracle(4, 0.7);
    let (batch, _) = drawn(&model, 20);
    let params = optimum(&model, &batch);
    let exact = exact_evidence(&model, &batch);
    let found = estimates(ADAPTIVE, &model, &params, &batch);
    for (estimate, exact) in found.iter().zip(exact) {
        let n = estimate.n_samples;
        assert!(
            n > 100 && (n / 100).is_power_of_two() && n % 100 == 0,
            "{n}"
        );
        let error = (estimate.value_nats - exact) / estimate.std_error_nats;
        assert!(error.abs() < 4.5, "{estimate:?} {exact}");
        assert_eq!(estimate.diagnostics.joint_evaluations, 2 * n);
    }
    // `K` is chosen on other draws, so the estimate's own error is near the target, but not always below it.
    let near = found.iter().filter(|e| e.std_error_nats < 0.025).count();
    assert!(near >= 15, "{near} of 20");
    let capped = AdaptiveSpec {
        target_std_error_nats: Positive::new(1e-6),
        most_samples: Count::new(300),
        ..ADAPTIVE
    };
    for estimate in estimates(capped, &model, &params, &batch) {
        assert_eq!(estimate.n_samples, 300);
    }
}

#[test]
fn a_share_of_the_prior_bounds_the_weights_of_a_q_that_is_too_narrow() {
    // A posterior that is not much narrower than the prior.
    let model = oracle(2, 3.0);
    let (batch, _) = drawn(&model, 20);
    let params = optimum(&model, &batch);
    // `q` is made a fifth as wide in every direction.
    let mut log_std = params.0.narrow(1, 2, 2);
    log_std -= 5_f64.ln();
    let plain = AdaptiveSpec {
        target_std_error_nats: Positive::new(0.05),
        first_samples: Count::new(1000),
        most_samples: Count::new(1000),
        ..ADAPTIVE
    };
    let defended = AdaptiveSpec {
        prior_share: 0.2,
        ..plain
    };
    let is_heavy = |e: &&Estimate| matches!(e.trust, Trust::HeavyTail);
    let n_heavy = estimates(plain, &model, &params, &batch)
        .iter()
        .filter(is_heavy)
        .count();
    assert!(n_heavy > 10, "{n_heavy} of 20");
    let exact = exact_evidence(&model, &batch);
    for (estimate, exact) in estimates(defended, &model, &params, &batch)
        .iter()
        .zip(exact)
    {
        assert!(!is_heavy(&estimate), "{estimate:?}");
        let error = (estimate.value_nats - exact) / estimate.std_error_nats;
        assert!(error.abs() < 4.5, "{error}");
    }
}

#[test]
fn a_datapoint_has_the_same_estimate_alone_and_in_a_batch() {
    let model = oracle(3, 0.5);
    let (all, _) = drawn(&model, 7);
    let together = estimates(ADAPTIVE, &model, &optimum(&model, &all), &all);
    for b in [0_usize, 6] {
        let x = all.x().narrow(0, b as i64, 1).copy();
        let one = Batch::new(vec![all.ids()[b]], x);
        let alone = estimates(ADAPTIVE, &model, &optimum(&model, &one), &one);
        assert_eq!(
            alone[0].value_nats.to_bits(),
            together[b].value_nats.to_bits()
        );
        assert_eq!(alone[0].n_samples, together[b].n_samples);
    }
}

/// Returns `λ` of the exact posterior in `family`, which must contain the full Gaussian.
fn posterior_in(
    family: &dyn VariationalFamily,
    model: &LinearGaussian,
    batch: &Batch,
) -> VariationalParams {
    let (mean, covariance) = model.posterior_moments(batch.x()).unwrap();
    let factor = VariationalParams(covariance.linalg_cholesky(false)).to_rows();
    let diagonal = factor.iter().enumerate().map(|(i, row)| row[i].ln());
    let lower = factor.iter().enumerate().flat_map(|(i, row)| &row[..i]);
    let of_factor: Vec<f64> = diagonal.chain(lower.copied()).collect();
    let rows: Vec<Vec<f64>> = VariationalParams(mean)
        .to_rows()
        .iter()
        .map(|mean| family.embed_smaller_family(&[&mean[..], &of_factor].concat()))
        .collect();
    let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
    VariationalParams::from_rows(&rows, Device::Cpu)
}

#[test]
fn any_family_can_be_the_proposal_and_where_it_is_the_posterior_every_weight_is_the_evidence() {
    let model = oracle(3, 0.5);
    let (batch, _) = drawn(&model, 4);
    let exact = exact_evidence(&model, &batch);
    let all = Family::ALL.iter();
    for &name in all.filter(|&&family| family != Family::DiagonalGaussian) {
        let family = build_family(name, 3);
        let params = posterior_in(family.as_ref(), &model, &batch);
        let plain = AdaptiveSpec {
            first_samples: Count::new(200),
            most_samples: Count::new(200),
            ..ADAPTIVE
        };
        let key = SeedKey::root(4);
        let found = estimate_adaptively(&plain, &model, family.as_ref(), &params, &batch, key);
        for (estimate, exact) in found.unwrap().iter().zip(&exact) {
            let error = estimate.value_nats - exact;
            assert!(error.abs() < 1e-3, "{name}: {error}");
        }
        let defended = AdaptiveSpec {
            prior_share: 0.3,
            first_samples: Count::new(4000),
            most_samples: Count::new(4000),
            ..ADAPTIVE
        };
        let found = estimate_adaptively(&defended, &model, family.as_ref(), &params, &batch, key);
        match family.evaluable_density() {
            None => assert!(matches!(found, Err(EstimateError::NoDensity)), "{name}"),
            Some(_) => {
                for (estimate, exact) in found.unwrap().iter().zip(&exact) {
                    let error = (estimate.value_nats - exact) / estimate.std_error_nats;
                    assert!(error.abs() < 4.5, "{name}: {estimate:?} {exact}");
                }
            }
        }
    }
}
