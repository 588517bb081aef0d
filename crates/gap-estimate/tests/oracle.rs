//! Every estimator and every method against the linear-Gaussian model, where the answers are known.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod oracle_problem;

use gap_data::{Batch, Dataset};
use gap_estimate::{
    ClosedForms, Elbo, Estimate, EstimationTask, ImportanceWeighted, ParetoSmoothed,
    PosteriorEstimator, estimate_all, estimate_each,
};
use gap_infer::ascent::averaged_newton_phase;
use gap_infer::free_form::{SearchMode, StartingPoint};
use gap_infer::train::fit_encoder;
use gap_infer::{
    AmortizedInference, DiagonalGaussian, Encoder, FreeFormInference, Inference, RefinedInference,
    StopReason, VariationalFamily, VariationalParams,
};
use gap_model::{Activation, LatentVariableModel, LinearGaussian};
use gap_spec::{
    Count, Diagnostics, ObjectiveSpec, Phase, Positive, Precision, StoppingRule, TrainingSpec,
    Trust,
};
use gap_torch::SeedKey;
use oracle_problem::{drawn, optimum, oracle};
use tch::Device;

/// Averaged Newton steps that stop only at their maximum number.
fn refinement() -> Phase {
    Phase {
        stopping: StoppingRule::Never,
        ..averaged_newton_phase(32, 0.0, 1000)
    }
}

fn batch(model: &LinearGaussian, n: u64) -> Batch {
    drawn(model, n).0
}

fn free_form(family: &DiagonalGaussian) -> FreeFormInference<'_> {
    FreeFormInference {
        family,
        starts: vec![StartingPoint::Prior],
        search: SearchMode::UntilCertified,
        tolerance_nats: 0.005,
        max_steps: 5000,
        precision: Precision::Mixed,
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let centre = mean(values);
    values.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}

fn assert_standard_errors_match(name: &str, estimates: &[Vec<Estimate>]) {
    let n_points = estimates[0].len();
    let (mut spread, mut claimed) = (0.0, 0.0);
    for b in 0..n_points {
        let values: Vec<f64> = estimates.iter().map(|seed| seed[b].value_nats).collect();
        spread += variance(&values);
        claimed += mean(
            &estimates
                .iter()
                .map(|seed| seed[b].std_error_nats.powi(2))
                .collect::<Vec<_>>(),
        );
    }
    let ratio = (claimed / spread).sqrt();
    assert!(
        (0.8..1.25).contains(&ratio),
        "{name}: claimed {ratio} of the spread over seeds"
    );
}

#[test]
fn standard_errors_match_the_spread_over_seeds_and_values_their_targets() {
    let model = oracle(4, 1.0);
    let family = DiagonalGaussian::new(4);
    let batch = batch(&model, 20);
    let params = optimum(&model, &batch);
    let forms = ClosedForms::new(&model, batch.x()).unwrap();
    let (elbo, iw) = (
        Elbo { n_samples: 200 },
        ImportanceWeighted { n_samples: 1000 },
    );
    let estimators: [&dyn PosteriorEstimator; 2] = [&elbo, &iw];
    let runs: Vec<Vec<Vec<Estimate>>> = (0..100)
        .map(|seed| {
            estimate_all(
                &model,
                &family,
                &params,
                &batch,
                &estimators,
                SeedKey::root(seed),
            )
            .unwrap()
        })
        .collect();
    let of = |i: usize| runs.iter().map(|run| run[i].clone()).collect::<Vec<_>>();
    assert_standard_errors_match("elbo", &of(0));
    assert_standard_errors_match("importance-weighted", &of(1));

    // Each mean over the 100 seeds is within 4.5 of its standard errors of its target. The target of the
    // importance-weighted bound is below the evidence by var(w) / 2K, which is half the square of the
    // standard error of one run (Maddison et al. 2017, Prop. 1).
    let (exact_elbo, evidence) = (forms.elbo(&family, &params), forms.log_evidence());
    for b in 0..20 {
        for (i, target) in [(0, exact_elbo[b]), (1, evidence[b])] {
            let values: Vec<f64> = runs.iter().map(|run| run[i][b].value_nats).collect();
            let std_error = runs[0][i][b].std_error_nats;
            let bias = if i == 1 {
                -0.5 * std_error.powi(2)
            } else {
                0.0
            };
            let error = mean(&values) - target - bias;
            assert!(
                error.abs() < 4.5 * std_error / 10.0,
                "point {b}, estimator {i}: {error}"
            );
        }
    }
}

#[test]
fn the_free_form_optimum_is_the_closed_form_one() {
    for (latent_dim, noise_std) in [(2, 0.5), (10, 1.0), (10, 0.3), (50, 1.0)] {
        let model = oracle(latent_dim, noise_std);
        let family = DiagonalGaussian::new(latent_dim);
        let batch = batch(&model, 25);
        let forms = ClosedForms::new(&model, batch.x()).unwrap();
        let fitted = free_form(&family)
            .infer(&model, &batch, SeedKey::root(3))
            .unwrap();
        let reached = forms.elbo(&family, &fitted.params);
        for (b, best) in forms.optimal_elbo(&family).into_iter().enumerate() {
            let short = best - reached[b];
            assert!(
                (-1e-4..0.01).contains(&short),
                "D = {latent_dim}, point {b}: {short} short"
            );
            let StopReason::Converged { remaining, .. } = fitted.stops[b] else {
                panic!("D = {latent_dim}, point {b}: {:?}", fitted.stops[b]);
            };
            assert!(
                (remaining.nats - short).abs()
                    < 4.0 * remaining.std_error_nats + 0.25 * short + 2e-4,
                "point {b}: {remaining:?} for {short}"
            );
        }
    }
}

#[test]
fn a_datapoint_is_inferred_and_estimated_alike_alone_and_in_a_batch() {
    let model = oracle(6, 0.5);
    let family = DiagonalGaussian::new(6);
    let all = batch(&model, 33);
    let encoder = Encoder::with_random_layers(
        16,
        &[20],
        &family,
        Activation::Tanh,
        SeedKey::root(4),
        Device::Cpu,
    );
    let refined = RefinedInference {
        family: &family,
        encoder: &encoder,
        phase: refinement(),
        steps: vec![1, 3, 10],
    };
    let amortized = AmortizedInference {
        family: &family,
        encoder: &encoder,
    };
    let free_form = FreeFormInference {
        starts: vec![StartingPoint::Prior, StartingPoint::Encoder(&encoder)],
        ..free_form(&family)
    };
    let estimators: [&dyn PosteriorEstimator; 2] = [
        &Elbo { n_samples: 50 },
        &ImportanceWeighted { n_samples: 130 },
    ];
    for method in [&free_form as &dyn Inference, &amortized, &refined] {
        let together = method.infer(&model, &all, SeedKey::root(5)).unwrap();
        let estimates = estimate_all(
            &model,
            &family,
            &together.params,
            &all,
            &estimators,
            SeedKey::root(6),
        )
        .unwrap();
        for b in [0_i64, 17, 32] {
            let one = Batch::new(vec![all.ids()[b as usize]], all.x().narrow(0, b, 1).copy());
            let alone = method.infer(&model, &one, SeedKey::root(5)).unwrap();
            assert!(
                alone.params.0.equal(&together.params.0.narrow(0, b, 1)),
                "point {b}"
            );
            assert_eq!(alone.stops[0], together.stops[b as usize]);
            assert_eq!(
                alone.costs[0].joint_gradients,
                together.costs[b as usize].joint_gradients
            );
            let own = estimate_all(
                &model,
                &family,
                &alone.params,
                &one,
                &estimators,
                SeedKey::root(6),
            )
            .unwrap();
            for (i, estimates) in estimates.iter().enumerate() {
                let untimed = |estimate: Estimate| Estimate {
                    diagnostics: Diagnostics {
                        seconds: 0.0,
                        ..estimate.diagnostics
                    },
                    ..estimate
                };
                let (own, batched) = (untimed(own[i][0]), untimed(estimates[b as usize]));
                assert_eq!(own, batched, "point {b}, estimator {i}");
            }
        }
    }
}

#[test]
fn on_shared_draws_the_elbo_is_never_above_the_importance_weighted_bound() {
    let model = oracle(5, 0.5);
    let family = DiagonalGaussian::new(5);
    let batch = batch(&model, 10);
    let params = family.standard_normal_params(10, Device::Cpu);
    let estimators: [&dyn PosteriorEstimator; 2] = [
        &Elbo { n_samples: 64 },
        &ImportanceWeighted { n_samples: 64 },
    ];
    let both = estimate_all(
        &model,
        &family,
        &params,
        &batch,
        &estimators,
        SeedKey::root(7),
    )
    .unwrap();
    for (elbo, iw) in both[0].iter().zip(&both[1]) {
        assert!(elbo.value_nats <= iw.value_nats);
    }
}

#[test]
fn a_linear_encoder_reaches_the_optimum_and_refining_keeps_it() {
    let model = oracle(4, 0.7);
    let family = DiagonalGaussian::new(4);
    let batch = batch(&model, 1000);
    let data = Dataset::new(
        "synthetic".to_owned(),
        batch.ids().to_vec(),
        batch.x().copy(),
        None,
    );
    let mut encoder = Encoder::with_random_layers(
        14,
        &[],
        &family,
        Activation::Tanh,
        SeedKey::root(8),
        Device::Cpu,
    );
    let training = TrainingSpec {
        steps: Count::new(4000),
        batch_size: Count::new(100),
        learning_rate: Positive::new(0.05),
        n_samples: Count::new(4),
        precision: Precision::Mixed,
    };
    fit_encoder(
        &model,
        &family,
        &mut encoder,
        &data,
        (&training, &ObjectiveSpec::ELBO),
        SeedKey::root(9),
        &|_| (),
    )
    .unwrap();
    let forms = ClosedForms::new(&model, batch.x()).unwrap();
    let best = mean(&forms.optimal_elbo(&family));
    let amortized = mean(&forms.elbo(&family, &encoder.encode(batch.x())));
    assert!(
        (0.0..0.02).contains(&(best - amortized)),
        "{}",
        best - amortized
    );

    let refined = RefinedInference {
        family: &family,
        encoder: &encoder,
        phase: refinement(),
        steps: vec![5, 50],
    };
    for fitted in refined
        .fit_after_each_step_count(&model, &batch, SeedKey::root(10))
        .unwrap()
    {
        let short = best - mean(&forms.elbo(&family, &fitted.params));
        assert!((0.0..0.02).contains(&short), "{short}");
    }
}

#[test]
fn a_non_finite_datapoint_is_recorded_and_does_not_spread() {
    let model = oracle(3, 0.5);
    let family = DiagonalGaussian::new(3);
    let clean = batch(&model, 5);
    let x = clean.x().copy();
    let _ = x.narrow(0, 2, 1).fill_(f64::NAN);
    let spoiled = Batch::new(clean.ids().to_vec(), x);
    let expected = free_form(&family)
        .infer(&model, &clean, SeedKey::root(11))
        .unwrap();
    let fitted = free_form(&family)
        .infer(&model, &spoiled, SeedKey::root(11))
        .unwrap();
    assert_eq!(fitted.stops[2], StopReason::NonFinite { step: 1 });
    for b in [0, 1, 3, 4] {
        assert!(
            fitted.params.0.get(b).equal(&expected.params.0.get(b)),
            "point {b}"
        );
    }
    let estimators: [&dyn PosteriorEstimator; 1] = [&Elbo { n_samples: 10 }];
    let estimates = estimate_all(
        &model,
        &family,
        &fitted.params,
        &spoiled,
        &estimators,
        SeedKey::root(12),
    )
    .unwrap();
    assert!(estimates[0][2].value_nats.is_nan() && estimates[0][3].value_nats.is_finite());
}

/// The means over datapoints of the variances of `L[a] − L[b]` and of `IW[a] − IW[b]`, over many keys: as estimated
/// from blocks of their draws, and as they are.
fn estimated_and_true_variances(
    model: &LinearGaussian,
    batch: &Batch,
    qs: [&VariationalParams; 2],
) -> [[f64; 2]; 2] {
    let family = DiagonalGaussian::new(model.latent_dim());
    let estimators: [&dyn PosteriorEstimator; 2] = [
        &Elbo { n_samples: 200 },
        &ImportanceWeighted { n_samples: 200 },
    ];
    let n_keys = 100;
    let mut differences = vec![[Vec::new(), Vec::new()]; batch.len()];
    let mut estimated = [0.0; 2];
    for i in 0..n_keys {
        let tasks = qs.map(|params| EstimationTask {
            params,
            estimators: &estimators,
        });
        let key = SeedKey::root(11).for_index(i);
        let estimates = estimate_each(model, &family, &tasks, batch, key).unwrap();
        for (point, differences) in differences.iter_mut().enumerate() {
            for estimator in 0..2 {
                let [a, b] = [0, 1].map(|q| &estimates[q][estimator][point]);
                let [own, others] = [a, b].map(|e| e.diagnostics.blocks.unwrap());
                estimated[estimator] += own.minus(&others).variance();
                differences[estimator].push(a.value_nats - b.value_nats);
            }
        }
    }
    let n = batch.len() as f64;
    [0, 1].map(|estimator| {
        let own = differences.iter().map(|d| variance(&d[estimator]));
        [
            estimated[estimator] / (n * n_keys as f64),
            own.sum::<f64>() / n,
        ]
    })
}

#[test]
fn blocks_of_draws_show_the_error_of_differences_on_shared_draws() {
    let model = oracle(4, 0.5);
    let batch = batch(&model, 20);
    let optimum = optimum(&model, &batch);
    // Far apart, and so near that the two errors nearly cancel.
    for shift in [0.3, 0.03] {
        let shifted = VariationalParams(&optimum.0 + shift);
        let variances = estimated_and_true_variances(&model, &batch, [&optimum, &shifted]);
        for [estimated, truth] in variances {
            let ratio = (estimated / truth).sqrt();
            assert!((0.8..1.2).contains(&ratio), "{shift}: {ratio}");
        }
    }
}

#[test]
fn the_worse_a_q_is_the_more_of_its_estimates_are_marked() {
    // Down to weights that differ by so many nats that most of them are too small for a number.
    let marked = [1.0, 0.1, 0.01, 1e-3].map(|noise_std| {
        let model = oracle(2, noise_std);
        let batch = batch(&model, 20);
        let prior = DiagonalGaussian::new(2).standard_normal_params(20, Device::Cpu);
        let estimators: [&dyn PosteriorEstimator; 2] = [
            &ImportanceWeighted { n_samples: 1000 },
            &ParetoSmoothed { n_samples: 1000 },
        ];
        let family = DiagonalGaussian::new(2);
        let key = SeedKey::root(12);
        let estimates = estimate_all(&model, &family, &prior, &batch, &estimators, key).unwrap();
        [0, 1].map(|i| {
            let heavy = |estimate: &&Estimate| estimate.trust == Trust::HeavyTail;
            estimates[i].iter().filter(heavy).count()
        })
    });
    for counts in marked.windows(2) {
        assert!(counts[0] <= counts[1], "{marked:?}");
    }
    assert_eq!(marked[1..], [[20; 2]; 3], "{marked:?}");
}
