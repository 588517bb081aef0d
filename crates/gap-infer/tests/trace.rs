//! Traces of ascents: where they lead, what they count, and how they treat endpoints that failed or are near
//! no known optimum.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod searches;

use gap_data::Batch;
use gap_infer::VariationalFamily;
use gap_infer::ascent::PhaseSchedule;
use gap_infer::free_form::StartingPoint;
use gap_infer::trace::{AscentTrace, AscentTracer};
use gap_model::{LatentVariableModel, MlpDecoder};
use gap_torch::SeedKey;
use searches::{CPU, decoder, most, sampled, search};

const DIM: i64 = 4;

fn model_and_batch() -> (MlpDecoder, Batch) {
    let model = decoder(&[DIM, 16, 20]);
    let batch = sampled(&model, 6);
    (model, batch)
}

fn optima(model: &MlpDecoder, batch: &Batch) -> Vec<Vec<f64>> {
    let fit = search(model, batch, vec![StartingPoint::Prior], 1e-3);
    fit.fitted.params.to_rows()
}

/// Traces an ascent from the prior. Seconds are set to zero, since they alone may differ between two runs.
fn trace(
    model: &dyn LatentVariableModel,
    batch: &Batch,
    optima: &[Vec<Vec<f64>>],
    schedule: &PhaseSchedule,
) -> AscentTrace {
    let tracer = AscentTracer {
        model,
        batch,
        optima,
        n_samples: 512,
        key: SeedKey::root(20),
    };
    let family = gap_infer::DiagonalGaussian::new(DIM);
    let start = family
        .standard_normal_params(batch.len() as i64, CPU)
        .to_rows();
    let mut trace = tracer
        .trace_ascent(schedule, start, SeedKey::root(21))
        .unwrap();
    let mut seconds = 0.0;
    for look in &mut trace.snapshots {
        assert!(look.seconds >= seconds, "time does not run back");
        seconds = std::mem::take(&mut look.seconds);
    }
    trace
}

fn default_schedule() -> PhaseSchedule {
    PhaseSchedule::default_for_latent_dim(DIM as usize, 5e-4, 500)
}

/// A schedule with one step in each phase, which ends far from any optimum.
fn short_schedule() -> PhaseSchedule {
    let mut schedule = default_schedule();
    for phase in &mut schedule.phases {
        phase.max_steps = 1;
    }
    schedule
}

fn differences(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

#[test]
fn the_default_ascent_comes_down_to_the_optimum_it_leads_to() {
    let (model, batch) = model_and_batch();
    let known = [optima(&model, &batch)];
    let trace_of_default = trace(&model, &batch, &known, &default_schedule());
    let looks = &trace_of_default.snapshots;
    let [first, .., last] = looks.as_slice() else {
        panic!("more than one look");
    };
    let to_go = |loss: &[f64]| most(&differences(loss, &trace_of_default.leads_to));
    assert!(to_go(&first.loss) > 0.1, "{first:?}");
    assert!(to_go(&last.loss) < 0.01, "{last:?}");
    assert_eq!(trace_of_default.leads_to, trace_of_default.best);
    assert_eq!(trace_of_default.stopped, [true; 6]);
    for pair in looks.windows(2) {
        assert!(pair[0].joint_gradients < pair[1].joint_gradients);
        let mut steps = pair[0].steps.iter().zip(&pair[1].steps);
        assert!(steps.all(|(before, after)| before <= after));
        // A datapoint that has not moved keeps its loss of the previous snapshot.
        for b in (0..6).filter(|&b| pair[0].steps[b] == pair[1].steps[b]) {
            assert_eq!(pair[0].loss[b], pair[1].loss[b], "point {b}");
        }
    }
    let again = trace(&model, &batch, &known, &default_schedule());
    assert_eq!(again, trace_of_default, "same key, same bits");
}

/// If only wrong optima are known, the endpoints of a short and of a complete ascent are continued to the
/// right one.
#[test]
fn a_stray_end_goes_on_until_it_has_an_optimum() {
    let (model, batch) = model_and_batch();
    let right = optima(&model, &batch);
    let wrong: Vec<Vec<f64>> = right
        .iter()
        .map(|params| params.iter().map(|value| value + 3.0).collect())
        .collect();
    let expected = trace(
        &model,
        &batch,
        std::slice::from_ref(&right),
        &default_schedule(),
    );
    for schedule in [short_schedule(), default_schedule()] {
        let strays = trace(&model, &batch, std::slice::from_ref(&wrong), &schedule);
        for found in [&strays.leads_to, &strays.best] {
            let off = differences(found, &expected.leads_to);
            assert!(off.iter().all(|off| off.abs() < 0.01), "{off:?}");
        }
        // The further ascent is not recorded.
        let known = trace(&model, &batch, std::slice::from_ref(&right), &schedule);
        assert_eq!(strays.snapshots, known.snapshots);
        assert_eq!(strays.stopped, known.stopped);
    }
    let short = trace(
        &model,
        &batch,
        std::slice::from_ref(&right),
        &short_schedule(),
    );
    assert_eq!(short.stopped, [false; 6]);
    // With both lists known, `best` is the better optimum, and the ascent leads to the nearer one.
    let both = trace(&model, &batch, &[wrong, right], &default_schedule());
    assert_eq!(both.leads_to, expected.leads_to);
    assert_eq!(both.best, expected.best);
}

#[test]
fn an_ascent_that_stops_being_finite_is_shown_as_failed_beside_sound_ones() {
    let (model, batch) = model_and_batch();
    let x = batch.x().copy();
    let _ = x.narrow(0, 2, 1).fill_(f64::NAN);
    let spoiled = Batch::new(batch.ids().to_vec(), x);
    let known = [optima(&model, &batch)];
    let clean = trace(&model, &batch, &known, &default_schedule());
    let trace = trace(&model, &spoiled, &known, &default_schedule());
    let last = trace.snapshots.last().unwrap();
    assert_eq!(last.failed, [false, false, true, false, false, false]);
    assert!(!trace.stopped[2] && last.loss[2].is_nan() && trace.leads_to[2].is_nan());
    let last_clean = clean.snapshots.last().unwrap();
    for b in [0, 1, 3, 4, 5] {
        assert_eq!(last.loss[b], last_clean.loss[b], "point {b}");
        assert_eq!(last.steps[b], last_clean.steps[b], "point {b}");
        assert_eq!(trace.leads_to[b], clean.leads_to[b], "point {b}");
        assert!(trace.stopped[b]);
    }
}
