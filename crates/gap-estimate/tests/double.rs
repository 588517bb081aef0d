//! Estimates in 64 bits, against closed forms that 32 bits do not resolve.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use gap_data::Batch;
use gap_estimate::{
    Annealing, Elbo, Estimate, HmcSettings, ImportanceWeighted, InitialGaussian,
    estimate_adaptively, estimate_all,
};
use gap_infer::{FullGaussian, VariationalParams};
use gap_model::{ExactPosterior, LatentVariableModel, LinearGaussian};
use gap_spec::{AdaptiveSpec, Count, Positive, Precision};
use gap_torch::{SeedKey, to_f64_values};
use tch::{Device, Kind};

const DIM: usize = 3;

/// A model whose noise is so small that residuals of 32 bits are all rounding.
fn sharp_model(kind: Kind) -> (LinearGaussian, Batch, Vec<f64>) {
    let dims = [DIM as i64, 8];
    let key = SeedKey::root(1);
    let model = LinearGaussian::with_exact_condition_number(dims, 1e-7, 100.0, key, Device::Cpu);
    let (x, z) = model.sample_points(SeedKey::root(2), 0..10).unwrap();
    let batch = Batch::new((0..10).collect(), x.to_kind(kind));
    (model.to_kind(kind), batch, to_f64_values(&z))
}

/// `λ` of the posterior itself, under which every importance weight is `p(x)`.
fn posterior(model: &LinearGaussian, batch: &Batch) -> VariationalParams {
    let (mean, covariance) = model.posterior_moments(batch.x()).unwrap();
    let factor = covariance.linalg_cholesky(false);
    let entry = |i: usize, j: usize| factor.double_value(&[i as i64, j as i64]);
    let diagonal = (0..DIM).map(|i| entry(i, i).ln());
    let lower = (0..DIM).flat_map(|i| (0..i).map(move |j| (i, j)));
    let of_covariance: Vec<f64> = diagonal.chain(lower.map(|(i, j)| entry(i, j))).collect();
    let means = to_f64_values(&mean);
    let rows: Vec<Vec<f64>> = means
        .chunks_exact(DIM)
        .map(|mean| [mean, &of_covariance].concat())
        .collect();
    let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
    VariationalParams::of_kind(&rows, model.kind(), Device::Cpu)
}

fn worst_error(estimates: &[Estimate], model: &LinearGaussian, batch: &Batch) -> f64 {
    let exact = to_f64_values(&model.log_evidence(batch.x()).unwrap());
    let errors = estimates.iter().zip(exact);
    errors.fold(0.0, |worst, (estimate, exact)| {
        worst.max((estimate.value_nats - exact).abs())
    })
}

/// The worst errors of the ELBO, of the importance-weighted bound, of the same with a share of the prior, and of
/// annealing in both directions, all from the posterior itself.
fn worst_errors(kind: Kind) -> [f64; 5] {
    let (model, batch, z) = sharp_model(kind);
    let family = FullGaussian::new(DIM as i64);
    let params = posterior(&model, &batch);
    let key = SeedKey::root(3);
    let (elbo, weighted) = (Elbo { n_samples: 50 }, ImportanceWeighted { n_samples: 50 });
    let own = estimate_all(&model, &family, &params, &batch, &[&elbo, &weighted], key).unwrap();
    let settings = AdaptiveSpec {
        target_std_error_nats: Positive::new(0.01),
        first_samples: Count::new(100),
        most_samples: Count::new(1000),
        prior_share: 0.0,
    };
    let adaptive = estimate_adaptively(&settings, &model, &family, &params, &batch, key).unwrap();
    let annealing = Annealing {
        inverse_temperatures: vec![0.0, 0.5, 1.0],
        n_chains: 4,
        transitions: HmcSettings {
            leapfrog_steps: 5,
            precision: Precision::Full,
        },
        step_size: None,
    };
    let initial = InitialGaussian::matching_moments_of(&family, &params);
    let forward = annealing.forward(&model, &initial, &batch, key, &|_| ());
    let reverse = annealing.reverse(&model, &initial, (&batch, &z), key, &|_| ());
    [
        &own[0],
        &own[1],
        &adaptive,
        &forward.unwrap(),
        &reverse.unwrap(),
    ]
    .map(|estimates| worst_error(estimates, &model, &batch))
}

#[test]
fn estimates_of_64_bits_resolve_what_those_of_32_bits_do_not() {
    let [elbo, weighted, adaptive, forward, reverse] = worst_errors(Kind::Double);
    for (name, error) in [
        ("elbo", elbo),
        ("weighted", weighted),
        ("adaptive", adaptive),
    ] {
        assert!(error < 1e-6, "{name}: {error}");
    }
    // Annealing begins at a Gaussian whose moments are estimated on 4,096 draws.
    assert!(forward < 0.05 && reverse < 0.05, "{forward} {reverse}");
    let [elbo, weighted, adaptive, ..] = worst_errors(Kind::Float);
    for (name, error) in [
        ("elbo", elbo),
        ("weighted", weighted),
        ("adaptive", adaptive),
    ] {
        assert!(error > 0.01, "{name}: {error}");
    }
}

#[test]
fn a_point_has_the_same_estimates_alone_and_in_company() {
    let (model, batch, _) = sharp_model(Kind::Double);
    let family = FullGaussian::new(DIM as i64);
    let params = posterior(&model, &batch);
    let of = |batch: &Batch, params: &VariationalParams| {
        let elbo = Elbo { n_samples: 20 };
        let key = SeedKey::root(4);
        estimate_all(&model, &family, params, batch, &[&elbo], key).unwrap()[0]
            .iter()
            .map(|estimate| estimate.value_nats)
            .collect::<Vec<f64>>()
    };
    let all = of(&batch, &params);
    let last = Batch::new(vec![9], batch.x().narrow(0, 9, 1));
    let alone = of(&last, &VariationalParams(params.0.narrow(0, 9, 1)));
    assert_eq!(all[9].to_bits(), alone[0].to_bits());
}
