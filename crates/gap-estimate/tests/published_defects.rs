//! Mistakes in published code of the field, each with a test that this code does not make it.
//!
//! The second and the fifth also concern how a report uses its records, so `gap-report` tests them too.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod oracle_problem;

use gap_data::{Batch, LoadOptions};
use gap_estimate::{
    Annealing, ClosedForms, Elbo, HmcSettings, ImportanceWeighted, InitialGaussian,
    PosteriorEstimator, estimate_all,
};
use gap_infer::free_form::{SearchMode, StartingPoint};
use gap_infer::{DiagonalGaussian, FreeFormInference, Inference, StopReason, VariationalFamily};
use gap_model::LinearGaussian;
use gap_spec::Precision;
use gap_spec::Trust;
use gap_torch::{NoiseStream, SeedKey};
use oracle_problem::{drawn, exact_evidence, optimum, oracle};
use std::collections::BTreeSet;
use tch::{Device, Kind, Tensor};

const DIM: i64 = 4;
const FAMILY: DiagonalGaussian = DiagonalGaussian::new(DIM);

fn search() -> FreeFormInference<'static> {
    FreeFormInference {
        family: &FAMILY,
        starts: vec![StartingPoint::Prior],
        search: SearchMode::UntilCertified,
        tolerance_nats: 0.005,
        max_steps: 5000,
        precision: Precision::Mixed,
    }
}

fn annealing() -> Annealing {
    Annealing {
        inverse_temperatures: (0..40).map(|t| f64::from(t) / 39.0).collect(),
        n_chains: 8,
        transitions: HmcSettings {
            leapfrog_steps: 4,
            precision: Precision::Mixed,
        },
        step_size: None,
    }
}

/// `n` copies of one observation, with different ids.
fn repeated(batch: &Batch, row: i64, n: u64) -> Batch {
    let x = batch.x().narrow(0, row, 1).repeat([n as i64, 1]);
    Batch::new((0..n).collect(), x)
}

/// Published: `μ` and `log σ²` have shape `B·K`, so that there are `K` distributions with one draw each.
#[test]
fn defect_1_k_draws_come_from_one_q_and_not_each_from_its_own() {
    let family = FAMILY;
    let model = oracle(DIM, 0.7);
    let (batch, _) = drawn(&model, 3);
    let fitted = search().infer(&model, &batch, SeedKey::root(1)).unwrap();
    assert_eq!(fitted.params.0.size(), [3, 2 * DIM]);
    // All draws of a datapoint have the same mean and the same standard deviation.
    let n = 4000;
    let mut noise = NoiseStream::new(SeedKey::root(2), batch.ids(), Device::Cpu);
    let z = family.sample(&fitted.params, n, &mut noise).z;
    let (mean, log_std) = family.mean_and_log_std(&fitted.params);
    let standard = (z - mean) / log_std.exp();
    let moments = [
        standard.mean_dim(0, false, Kind::Double),
        standard.square().mean_dim(0, false, Kind::Double) - 1.0,
    ];
    for off in moments {
        let most = off.abs().max().double_value(&[]);
        assert!(most < 5.0 * 2_f64.sqrt() / (n as f64).sqrt(), "{most}");
    }
}

/// Published: the ELBO of `q` on 60,000 points is compared with that of `q*` on the first 1,000.
#[test]
fn defect_2_both_terms_of_a_gap_have_the_same_datapoints_and_draws() {
    let model = oracle(DIM, 0.7);
    let (batch, _) = drawn(&model, 10);
    let family = FAMILY;
    let elbo = Elbo { n_samples: 50 };
    let estimators: [&dyn PosteriorEstimator; 1] = [&elbo];
    let best = optimum(&model, &batch);
    let (key, same) = (SeedKey::root(3), optimum(&model, &batch));
    let of = |params| estimate_all(&model, &family, params, &batch, &estimators, key).unwrap();
    // Two methods that found the same `q` have a gap of exactly zero at every datapoint.
    for (one, other) in of(&best)[0].iter().zip(&of(&same)[0]) {
        assert_eq!(one.value_nats.to_bits(), other.value_nats.to_bits());
    }
}

/// Published: 100 datapoints of a batch share one local distribution.
#[test]
fn defect_4_every_datapoint_has_a_q_of_its_own() {
    let model = oracle(DIM, 0.7);
    let (batch, _) = drawn(&model, 20);
    let fitted = search().infer(&model, &batch, SeedKey::root(4)).unwrap();
    let forms = ClosedForms::new(&model, batch.x()).unwrap();
    let family = FAMILY;
    let best = forms.optimal_elbo(&family);
    for (reached, best) in forms.elbo(&family, &fitted.params).iter().zip(best) {
        assert!(best - reached < 0.005, "{reached} {best}");
    }
    let rows: BTreeSet<Vec<u64>> = (fitted.params.to_rows().iter())
        .map(|row| row.iter().map(|v| v.to_bits()).collect())
        .collect();
    assert_eq!(
        rows.len(),
        20,
        "different observations have different optima"
    );
}

/// Published: an annealed estimate averages only the last batch, and drops batches with NaN.
#[test]
fn defect_5_every_batch_counts_and_a_nan_is_a_row_of_its_own() {
    let model = oracle(DIM, 0.7);
    let (all, _) = drawn(&model, 6);
    let x = all.x().copy();
    let _ = x.narrow(0, 1, 1).fill_(f64::NAN);
    let spoiled = Batch::new(all.ids().to_vec(), x);
    let estimate = |batch: &Batch| {
        let prior = InitialGaussian::standard_normal_prior(batch.len(), DIM as usize);
        annealing()
            .forward(&model, &prior, batch, SeedKey::root(5), &|_| ())
            .unwrap()
    };
    let whole = estimate(&spoiled);
    assert_eq!(whole.len(), 6);
    assert_eq!(whole[1].trust, Trust::NonFinite);
    for (start, n) in [(0, 2), (2, 2), (4, 2)] {
        let part = Batch::new(
            spoiled.ids()[start..start + n].to_vec(),
            spoiled.x().narrow(0, start as i64, n as i64),
        );
        for (own, of_whole) in estimate(&part).iter().zip(&whole[start..]) {
            assert_eq!(own.value_nats.to_bits(), of_whole.value_nats.to_bits());
        }
    }
}

/// Published: the "test" set is the validation set that decided when training stopped.
#[test]
fn defect_6_nothing_is_fitted_to_a_test_point() {
    for name in ["digits", "digits-binarized"] {
        let splits = gap_data::load(name, &LoadOptions::default()).unwrap();
        let train: BTreeSet<u64> = splits.train.ids().iter().copied().collect();
        assert!(
            splits.test.ids().iter().all(|id| !train.contains(id)),
            "{name}"
        );
    }
}

/// Published: the step size goes on adapting along the chain, to the mean acceptance of a batch.
#[test]
fn defect_6_a_step_size_is_fixed_before_the_chain_and_is_the_datapoints_own() {
    let model = oracle(DIM, 0.7);
    let (batch, _) = drawn(&model, 5);
    let sizes = |batch: &Batch| -> Vec<Option<f64>> {
        let prior = InitialGaussian::standard_normal_prior(batch.len(), DIM as usize);
        let estimates = annealing().forward(&model, &prior, batch, SeedKey::root(6), &|_| ());
        estimates
            .unwrap()
            .iter()
            .map(|e| e.diagnostics.step_size)
            .collect()
    };
    let together = sizes(&batch);
    let last = Batch::new(batch.ids()[4..].to_vec(), batch.x().narrow(0, 4, 1));
    assert_eq!(sizes(&last)[0], together[4]);
    // If the step size that was found is given as a setting, the estimate is the same to the last bit.
    let prior = InitialGaussian::standard_normal_prior(1, DIM as usize);
    let tuned = annealing()
        .forward(&model, &prior, &last, SeedKey::root(6), &|_| ())
        .unwrap();
    let given = Annealing {
        step_size: together[4],
        ..annealing()
    };
    let given = given
        .forward(&model, &prior, &last, SeedKey::root(6), &|_| ())
        .unwrap();
    assert_eq!(given[0].value_nats.to_bits(), tuned[0].value_nats.to_bits());
}

/// Published: the log-likelihood lacks its constants, and is that of the last minibatch only.
#[test]
fn defect_7_log_likelihoods_have_their_constants_and_every_datapoint() {
    // `x` does not depend on `z`: the evidence is a product of normal densities, written out here.
    let (x_dim, std) = (5, 0.3_f64);
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    let model = LinearGaussian::new(zeros(&[x_dim, 2]), zeros(&[x_dim]), std);
    let (batch, _) = drawn(&model, 7);
    let family = DiagonalGaussian::new(2);
    let prior = family.standard_normal_params(7, Device::Cpu);
    let iw = ImportanceWeighted { n_samples: 10 };
    let estimators: [&dyn PosteriorEstimator; 1] = [&iw];
    let key = SeedKey::root(7);
    let estimates = estimate_all(&model, &family, &prior, &batch, &estimators, key).unwrap();
    assert_eq!(estimates[0].len(), 7);
    for (row, estimate) in estimates[0].iter().enumerate() {
        let x = Vec::<f32>::try_from(batch.x().get(row as i64)).unwrap();
        let density = |x: &f32| {
            let square = (f64::from(*x) / std).powi(2);
            -0.5 * (square + (std::f64::consts::TAU * std * std).ln())
        };
        let written_out: f64 = x.iter().map(density).sum();
        assert!(
            (estimate.value_nats - written_out).abs() < 1e-4,
            "{estimate:?} {written_out}"
        );
    }
    let exact = exact_evidence(&model, &batch);
    assert!((estimates[0][6].value_nats - exact[6]).abs() < 1e-4);
}

/// Published: an ascent stops when the mean over its batch stops improving.
#[test]
fn defect_8_a_datapoint_stops_by_itself() {
    let model = oracle(DIM, 0.7);
    let (batch, _) = drawn(&model, 2);
    // One easy observation is in a batch with a hundred that lie far out.
    let far = Batch::new(
        (1..101).collect(),
        batch.x().narrow(0, 1, 1).repeat([100, 1]) * 30.0,
    );
    let easy = repeated(&batch, 0, 1);
    let together = Batch::new((0..101).collect(), Tensor::cat(&[easy.x(), far.x()], 0));
    let key = SeedKey::root(8);
    let alone = search().infer(&model, &easy, key).unwrap();
    let batched = search().infer(&model, &together, key).unwrap();
    assert_eq!(alone.stops[0], batched.stops[0]);
    assert!(matches!(alone.stops[0], StopReason::Converged { .. }));
    assert!(alone.params.0.get(0).equal(&batched.params.0.get(0)));
    assert_eq!(
        alone.costs[0].joint_gradients,
        batched.costs[0].joint_gradients
    );
}
