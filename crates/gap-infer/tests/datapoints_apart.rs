//! The search for one datapoint does not depend on the others in its batch, even if one of them fails.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod searches;

use gap_data::Batch;
use gap_infer::ascent::{Objective, PhaseSchedule, SearchState};
use gap_infer::family::build_family;
use gap_infer::free_form::SearchMode;
use gap_infer::free_form::StartingPoint;
use gap_infer::{Encoder, FreeFormInference, StopReason};
use gap_model::{Activation, Backend, Mlp};
use gap_spec::{Family, Phase, Precision};
use gap_torch::SeedKey;
use gap_torch::device::set_one_thread_per_operation;
use gap_torch::math_library::{MKL_SWITCH_ENV_VARIABLE, MklPath, detect_mkl_path};
use searches::{CPU, decoder, encoder, only, phases, prior_like, run_all, sampled, search};
use std::process::Command;

#[test]
fn a_non_finite_evaluation_is_recorded_and_never_spreads_under_any_rule() {
    let model = decoder(&[4, 16, 20]);
    let clean = sampled(&model, 6);
    let x = clean.x().copy();
    let _ = x.narrow(0, 2, 1).fill_(f64::NAN);
    let spoiled = Batch::new(clean.ids().to_vec(), x);
    let mut phases = phases(4);
    phases.extend(PhaseSchedule::adam_cremer_2018(200).phases);
    for phase in phases {
        let phase = Phase {
            max_steps: phase.max_steps.min(60),
            ..phase
        };
        let expected = run_all(&model, &clean, &phase, prior_like(6, 4));
        let ends = run_all(&model, &spoiled, &phase, prior_like(6, 4));
        assert_eq!(ends[2].failed_at, Some(1), "{:?}", phase.rule);
        assert_eq!(ends[2].params, [0.0; 8], "{:?}", phase.rule);
        for b in [0, 1, 3, 4, 5] {
            assert_eq!(
                ends[b].params, expected[b].params,
                "{:?}, point {b}",
                phase.rule
            );
            assert_eq!(
                ends[b].steps, expected[b].steps,
                "{:?}, point {b}",
                phase.rule
            );
            assert_eq!(ends[b].failed_at, None);
        }
    }
    let expected = search(&model, &clean, vec![StartingPoint::Prior], 0.005).fitted;
    let fitted = search(&model, &spoiled, vec![StartingPoint::Prior], 0.005).fitted;
    assert_eq!(fitted.stops[2], StopReason::NonFinite { step: 1 });
    for b in [0, 1, 3, 4, 5] {
        assert_eq!(fitted.stops[b], expected.stops[b]);
        assert!(
            fitted
                .params
                .0
                .get(b as i64)
                .equal(&expected.params.0.get(b as i64))
        );
    }
}

#[test]
fn a_start_too_wide_for_f32_fails_where_it_stands() {
    let model = decoder(&[4, 16, 20]);
    let batch = sampled(&model, 3);
    for phase in phases(4) {
        let mut start = prior_like(3, 4);
        start[1].params[4..].fill(100.0);
        let ends = run_all(&model, &batch, &phase, start);
        assert_eq!(ends[1].failed_at, Some(1), "{:?}", phase.rule);
        assert_eq!(ends[1].params[4..], [100.0; 4], "{:?}", phase.rule);
        for b in [0, 2] {
            assert!(ends[b].failed_at.is_none() && ends[b].params.iter().all(|p| p.is_finite()));
        }
    }
}

#[test]
fn a_start_that_fails_leaves_the_other_to_win() {
    let model = decoder(&[3, 8, 12]);
    let batch = sampled(&model, 4);
    let network = Mlp::random_perceptron(&[12, 6], Activation::Tanh, SeedKey::root(13), CPU);
    let network = network.with_first_outputs_times(0, 0.0);
    let _ = network.parameters()[1].narrow(0, 3, 3).fill_(100.0); // log σ: too wide for f32
    let wild = Encoder::new(network);
    let starts = vec![StartingPoint::Encoder(&wild), StartingPoint::Prior];
    let fit = search(&model, &batch, starts, 0.005);
    for b in 0..4 {
        assert_eq!(fit.won_by[b], 1, "point {b}");
        assert!(matches!(fit.fitted.stops[b], StopReason::Converged { .. }));
        assert!(fit.starts_apart_nats[b].unwrap().is_nan(), "point {b}");
    }
}

#[test]
fn cremers_protocol_stops_by_its_plateau_and_keeps_datapoints_apart() {
    let model = decoder(&[2, 16, 20]);
    let batch = sampled(&model, 6);
    let optimum = search(&model, &batch, vec![StartingPoint::Prior], 1e-3);
    let start: Vec<SearchState> = optimum
        .fitted
        .params
        .to_rows()
        .into_iter()
        .map(SearchState::starting_at)
        .collect();
    let most_steps = 30_000;
    let schedule = PhaseSchedule::adam_cremer_2018(most_steps);
    let run = |batch: &Batch, mut states: Vec<SearchState>| {
        let mut objective = Objective::new(&model, batch.x()).unwrap();
        let rows: Vec<usize> = (0..batch.len()).collect();
        let key = SeedKey::root(8);
        schedule
            .run(
                &mut objective,
                &rows,
                &mut states,
                batch.ids(),
                key,
                &mut |_| (),
            )
            .unwrap();
        states
    };
    let together = run(&batch, start.clone());
    let steps: Vec<u32> = together.iter().map(|c| c.steps).collect();
    for (b, end) in together.iter().enumerate() {
        // At least one block of 100 steps is the best so far, and more than 10 follow without improvement.
        assert!(
            end.steps.is_multiple_of(100) && end.steps >= 1200,
            "{steps:?}"
        );
        assert!(end.steps < most_steps / 2, "{steps:?}");
        assert_eq!(end.joint_gradients, u64::from(end.steps) * 50, "point {b}");
    }
    assert!(
        steps.iter().any(|s| s != &steps[0]),
        "draws are independent: {steps:?}"
    );
    let rows = [4, 1];
    let start = rows.iter().map(|&row| start[row].clone()).collect();
    for (end, row) in run(&only(&batch, &rows), start).iter().zip(rows) {
        assert_eq!(end.params, together[row].params, "point {row}");
        assert_eq!(end.steps, together[row].steps, "point {row}");
    }
}

#[test]
fn a_batch_of_one_is_searched_like_a_batch_of_many_to_the_last_bit() {
    set_one_thread_per_operation(); // Tests already run in parallel.
    // One decoder has odd widths: its rows are not aligned unless they are padded.
    for widths in [&[10, 64, 64, 64][..], &[3, 17, 33]] {
        let model = decoder(widths);
        let batch = sampled(&model, 30);
        let encoder = encoder(&model);
        let (prior, encoded) = (StartingPoint::Prior, StartingPoint::Encoder(&encoder));
        for starts in [vec![prior], vec![encoded], vec![prior, encoded]] {
            let all = search(&model, &batch, starts.clone(), 0.005);
            for rows in [vec![0], vec![17], vec![29, 3], (5..16).collect()] {
                let some = search(&model, &only(&batch, &rows), starts.clone(), 0.005);
                for (b, &row) in rows.iter().enumerate() {
                    let (own, of_all) = (&some.fitted, &all.fitted);
                    let bits = own.params.0.get(b as i64);
                    assert!(bits.equal(&of_all.params.0.get(row as i64)), "point {row}");
                    assert_eq!(own.stops[b], of_all.stops[row], "point {row}");
                    assert_eq!(some.won_by[b], all.won_by[row], "point {row}");
                    assert_eq!(some.starts_apart_nats[b], all.starts_apart_nats[row]);
                    let spent = [&own.costs[b], &of_all.costs[row]].map(|c| c.joint_gradients);
                    assert_eq!(spent[0], spent[1], "point {row}");
                }
            }
        }
    }
}

/// Runs the test above again in a process that computes everything by libtorch, whose math library chooses
/// its instructions by itself.
#[test]
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn the_same_holds_on_the_stock_path() {
    if std::env::var_os(MKL_SWITCH_ENV_VARIABLE).is_some_and(|value| value == "off") {
        assert_eq!(detect_mkl_path(), MklPath::Stock);
        assert_eq!(Backend::from_environment(), Ok(Backend::Libtorch));
        return;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    let tests = [
        "a_batch_of_one_is_searched_like_a_batch_of_many_to_the_last_bit",
        "the_same_holds_on_the_stock_path",
    ];
    let again = again.arg("--exact").args(tests);
    let again = again
        .env(MKL_SWITCH_ENV_VARIABLE, "off")
        .env(Backend::ENVIRONMENT_VARIABLE, "off");
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("2 passed"), "{said}");
}

#[test]
fn a_budget_bounds_all_evaluations_of_a_datapoint() {
    set_one_thread_per_operation(); // Tests already run in parallel.
    let model = decoder(&[14, 16, 20]);
    let batch = sampled(&model, 4);
    let encoder = encoder(&model);
    for family in [
        Family::DiagonalGaussian,
        Family::FullGaussian,
        Family::PlanarFlow,
    ] {
        let family = build_family(family, 14);
        for max_steps in [1, 2, 7, 40] {
            let search = FreeFormInference {
                family: family.as_ref(),
                starts: vec![StartingPoint::Prior, StartingPoint::Encoder(&encoder)],
                search: SearchMode::UntilCertified,
                tolerance_nats: 1e-3,
                max_steps,
                precision: Precision::Full,
            };
            let fit = search.search(&model, &batch, SeedKey::root(5)).unwrap();
            for stop in fit.fitted.stops {
                let (StopReason::BudgetSpent { steps, .. } | StopReason::Converged { steps, .. }) =
                    stop
                else {
                    panic!("{stop:?}");
                };
                assert!(steps <= max_steps, "{steps} of {max_steps}");
            }
        }
    }
}
