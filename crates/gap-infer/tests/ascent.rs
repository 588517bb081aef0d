//! The step rules, the default search and the protocols of others.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use gap_data::Batch;
use gap_infer::ascent::{
    AdamSettings, Climber, Draws, Noise, Objective, Phase, Rule, Schedule, Stopping, Wanted,
    averaged_newton, climb, draws_for, whitened_sobol,
};
use gap_infer::free_form::{FreeFormFit, Search, StartingPoint};
use gap_infer::{
    DiagonalGaussian, Encoder, EvaluableFamily, FreeForm, Stop, VariationalFamily,
    VariationalParams,
};
use gap_model::{
    Activation, ExactPosterior, LatentVariableModel, Likelihood, LinearGaussian, Mlp, MlpDecoder,
};
use gap_torch::{NoiseStream, SeedKey};
use tch::{Device, Kind, Tensor};

const CPU: Device = Device::Cpu;

fn sampled(model: &dyn LatentVariableModel, n: u64) -> Batch {
    let ids: Vec<u64> = (100..100 + n).collect();
    let mut noise = NoiseStream::new(SeedKey::root(1), &ids, CPU);
    let (x, _) = model.sample_joint(&mut noise).unwrap();
    Batch::new(ids, x)
}

fn only(batch: &Batch, rows: &[usize]) -> Batch {
    let index: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    Batch::new(
        rows.iter().map(|&row| batch.ids()[row]).collect(),
        batch.x().index_select(0, &Tensor::from_slice(&index)),
    )
}

fn decoder(widths: &[i64]) -> MlpDecoder {
    let network = Mlp::random(widths, Activation::Tanh, SeedKey::root(2), CPU);
    MlpDecoder::new(network, Likelihood::Bernoulli)
}

/// An encoder that says something else for each datapoint.
fn encoder(model: &dyn LatentVariableModel) -> Encoder {
    let widths = [model.observed_dim(), 2 * model.latent_dim()];
    Encoder::new(Mlp::random(
        &widths,
        Activation::Tanh,
        SeedKey::root(3),
        CPU,
    ))
}

/// How far each `q` is from the closed-form optimum of its family, nats.
fn short_of_optimum(model: &LinearGaussian, batch: &Batch, params: &VariationalParams) -> Vec<f64> {
    let family = DiagonalGaussian::new(model.latent_dim());
    let (mean, covariance) = model.posterior_moments(batch.x()).unwrap();
    let short = family.kl_to_gaussian(params, &mean, &covariance)
        - family.least_kl_to_gaussian(&covariance);
    Vec::<f64>::try_from(short).unwrap()
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn prior_like(n: usize, dim: i64) -> Vec<Climber> {
    let start = DiagonalGaussian::new(dim).prior_like_params(n as i64, CPU);
    start.to_rows().into_iter().map(Climber::at).collect()
}

fn climb_all(
    model: &dyn LatentVariableModel,
    batch: &Batch,
    phase: &Phase,
    mut climbers: Vec<Climber>,
) -> Vec<Climber> {
    let mut objective = Objective::new(model, batch.x()).unwrap();
    let rows: Vec<usize> = (0..batch.len()).collect();
    let key = SeedKey::root(4);
    climb(
        &mut objective,
        phase,
        &rows,
        &mut climbers,
        batch.ids(),
        key,
        &mut |_| (),
    )
    .unwrap();
    climbers
}

fn params_of(climbers: &[Climber]) -> VariationalParams {
    let rows: Vec<&[f64]> = climbers.iter().map(|c| c.params.as_slice()).collect();
    VariationalParams::from_rows(&rows, CPU)
}

fn search(
    model: &dyn LatentVariableModel,
    batch: &Batch,
    starts: Vec<StartingPoint>,
    tolerance_nats: f64,
) -> FreeFormFit {
    let free_form = FreeForm {
        family: DiagonalGaussian::new(model.latent_dim()),
        starts,
        search: Search::UntilCertified,
        tolerance_nats,
        max_steps: 2000,
    };
    free_form.search(model, batch, SeedKey::root(5)).unwrap()
}

/// Each step rule in a phase that ends near the optimum.
fn phases(dim: usize) -> Vec<Phase> {
    let fixed = |rule| Phase {
        rule,
        noise: Noise::Fixed,
        n_samples: draws_for(dim),
        stopping: Stopping::Decrement { below_nats: 1e-4 },
        max_steps: 500,
    };
    let adam = AdamSettings {
        learning_rate: 0.05,
        averaged: true,
        log_variance: false,
        loss: false,
    };
    vec![
        fixed(Rule::Lbfgs),
        fixed(Rule::NewtonStein),
        fixed(Rule::NaturalGradient),
        averaged_newton(2 * draws_for(dim), 1e-3, 100),
        Phase {
            rule: Rule::Adam(adam),
            noise: Noise::Fresh,
            n_samples: 16,
            stopping: Stopping::Never,
            max_steps: 600,
        },
    ]
}

/// Well and badly conditioned models.
fn oracles() -> impl Iterator<Item = LinearGaussian> {
    [
        (2, 1.0),
        (10, 1.0),
        (50, 1.0),
        (2, 0.05),
        (10, 0.05),
        (50, 0.05),
    ]
    .into_iter()
    .map(|(dim, noise_std)| LinearGaussian::random(dim, 2 * dim, noise_std, SeedKey::root(6), CPU))
}

#[test]
fn the_default_search_ends_at_the_closed_form_optimum() {
    for model in oracles() {
        let batch = sampled(&model, 20);
        let fit = search(&model, &batch, vec![StartingPoint::Prior], 5e-4);
        let short = short_of_optimum(&model, &batch, &fit.fitted.params);
        let mean = short.iter().sum::<f64>() / short.len() as f64;
        println!(
            "D = {}: mean {mean:.2e}, most {:.2e}",
            model.latent_dim(),
            most(&short)
        );
        for (stop, short) in fit.fitted.stops.iter().zip(&short) {
            assert!(
                matches!(stop, Stop::Converged { .. }),
                "{stop:?}, {short} short"
            );
        }
        assert!(most(&short) < 1e-4, "{short:?}");
    }
}

/// Whitened draws integrate a linear score without error, and Newton's steps then end at the
/// optimum itself, up to `f32`.
#[test]
fn newton_stein_is_exact_where_the_score_is_linear() {
    for model in oracles() {
        let dim = model.latent_dim();
        let batch = sampled(&model, 20);
        let phase = Phase {
            rule: Rule::NewtonStein,
            noise: Noise::Fixed,
            n_samples: draws_for(dim as usize),
            stopping: Stopping::Decrement { below_nats: 1e-6 },
            max_steps: 60,
        };
        let ends = climb_all(&model, &batch, &phase, prior_like(20, dim));
        let short = most(&short_of_optimum(&model, &batch, &params_of(&ends)));
        assert!(short < 1e-5, "D = {dim}: {short}");
    }
}

#[test]
fn each_step_rule_alone_reaches_the_optimum() {
    let model = LinearGaussian::random(4, 10, 0.7, SeedKey::root(7), CPU);
    let batch = sampled(&model, 20);
    for phase in phases(4) {
        let ends = climb_all(&model, &batch, &phase, prior_like(20, 4));
        let short = most(&short_of_optimum(&model, &batch, &params_of(&ends)));
        assert!(short < 0.01, "{:?}: {short}", phase.rule);
        assert!(ends.iter().all(|end| end.failed_at.is_none()));
    }
}

#[test]
fn a_non_finite_evaluation_is_recorded_and_never_spreads_under_any_rule() {
    let model = decoder(&[4, 16, 20]);
    let clean = sampled(&model, 6);
    let x = clean.x().copy();
    let _ = x.narrow(0, 2, 1).fill_(f64::NAN);
    let spoiled = Batch::new(clean.ids().to_vec(), x);
    let mut phases = phases(4);
    phases.extend(Schedule::adam_cremer_2018(200).phases);
    for phase in phases {
        let phase = Phase {
            max_steps: phase.max_steps.min(60),
            ..phase
        };
        let expected = climb_all(&model, &clean, &phase, prior_like(6, 4));
        let ends = climb_all(&model, &spoiled, &phase, prior_like(6, 4));
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
    assert_eq!(fitted.stops[2], Stop::NonFinite { step: 1 });
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
        let ends = climb_all(&model, &batch, &phase, start);
        assert_eq!(ends[1].failed_at, Some(1), "{:?}", phase.rule);
        assert_eq!(ends[1].params[4..], [100.0; 4], "{:?}", phase.rule);
        for b in [0, 2] {
            assert!(ends[b].failed_at.is_none() && ends[b].params.iter().all(|p| p.is_finite()));
        }
    }
}

#[test]
fn cremers_protocol_stops_by_its_plateau_and_keeps_datapoints_apart() {
    let model = decoder(&[2, 16, 20]);
    let batch = sampled(&model, 6);
    let optimum = search(&model, &batch, vec![StartingPoint::Prior], 1e-3);
    let start: Vec<Climber> = optimum
        .fitted
        .params
        .to_rows()
        .into_iter()
        .map(Climber::at)
        .collect();
    let most_steps = 30_000;
    let schedule = Schedule::adam_cremer_2018(most_steps);
    let run = |batch: &Batch, mut climbers: Vec<Climber>| {
        let mut objective = Objective::new(&model, batch.x()).unwrap();
        let rows: Vec<usize> = (0..batch.len()).collect();
        let key = SeedKey::root(8);
        schedule
            .run(
                &mut objective,
                &rows,
                &mut climbers,
                batch.ids(),
                key,
                &mut |_| (),
            )
            .unwrap();
        climbers
    };
    let together = run(&batch, start.clone());
    let steps: Vec<u32> = together.iter().map(|c| c.steps).collect();
    for (b, end) in together.iter().enumerate() {
        // More than 10 blocks without improvement follow at least one that was the best.
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
    let model = decoder(&[10, 64, 64, 64]);
    let batch = sampled(&model, 30);
    let encoder = encoder(&model);
    let (prior, encoded) = (StartingPoint::Prior, StartingPoint::Encoder(&encoder));
    for starts in [vec![prior], vec![encoded], vec![prior, encoded]] {
        let all = search(&model, &batch, starts.clone(), 0.005);
        for rows in [vec![0], vec![17], vec![29, 3], (5..16).collect()] {
            let some = search(&model, &only(&batch, &rows), starts.clone(), 0.005);
            for (b, &row) in rows.iter().enumerate() {
                let own = some.fitted.params.0.get(b as i64);
                assert!(
                    own.equal(&all.fitted.params.0.get(row as i64)),
                    "point {row}"
                );
                assert_eq!(some.fitted.stops[b], all.fitted.stops[row], "point {row}");
                assert_eq!(some.won_by[b], all.won_by[row], "point {row}");
                assert_eq!(some.starts_apart_nats[b], all.starts_apart_nats[row]);
                assert_eq!(
                    some.fitted.costs[b].joint_gradients,
                    all.fitted.costs[row].joint_gradients
                );
            }
        }
    }
}

#[test]
fn two_starts_that_meet_are_not_apart() {
    let model = LinearGaussian::random(6, 12, 0.5, SeedKey::root(9), CPU);
    let batch = sampled(&model, 20);
    let encoder = encoder(&model);
    let starts = vec![StartingPoint::Prior, StartingPoint::Encoder(&encoder)];
    let fit = search(&model, &batch, starts, 0.005);
    for (b, apart) in fit.starts_apart_nats.iter().enumerate() {
        assert!(
            (0.0..0.01).contains(&apart.unwrap()),
            "point {b}: {apart:?}"
        );
    }
    assert!(most(&short_of_optimum(&model, &batch, &fit.fitted.params)) < 0.005);
}

#[test]
fn a_start_that_fails_leaves_the_other_to_win() {
    let model = decoder(&[3, 8, 12]);
    let batch = sampled(&model, 4);
    let network = Mlp::random(&[12, 6], Activation::Tanh, SeedKey::root(13), CPU);
    let network = network.with_zero_output();
    let _ = network.parameters()[1].narrow(0, 3, 3).fill_(100.0); // log σ: too wide for f32
    let wild = Encoder::new(network);
    let starts = vec![StartingPoint::Encoder(&wild), StartingPoint::Prior];
    let fit = search(&model, &batch, starts, 0.005);
    for b in 0..4 {
        assert_eq!(fit.won_by[b], 1, "point {b}");
        assert!(matches!(fit.fitted.stops[b], Stop::Converged { .. }));
        assert!(fit.starts_apart_nats[b].unwrap().is_nan(), "point {b}");
    }
}

/// `−L` on `noise` (`[S, D]`), all in `f64`, by definition.
fn loss(model: &dyn LatentVariableModel, x: &Tensor, params: &[f64], noise: &Tensor) -> f64 {
    let family = DiagonalGaussian::new(model.latent_dim());
    let params = VariationalParams(Tensor::from_slice(params).unsqueeze(0));
    let draws = family.transform(&params, &noise.unsqueeze(1));
    let log_joint = model.log_joint(x, &draws.z).unwrap().mean(Kind::Double);
    -(log_joint.double_value(&[]) + family.entropy(&params).double_value(&[0]))
}

#[test]
fn an_evaluation_is_the_loss_and_its_slopes_on_its_draws() {
    let model = decoder(&[3, 8, 12]);
    let batch = sampled(&model, 3);
    let double = model.to_kind(Kind::Double);
    let x = batch.x().to_kind(Kind::Double);
    let points = whitened_sobol(SeedKey::root(10), 64, 3);
    let noise = Tensor::from_slice(&points)
        .view([-1, 3])
        .to_kind(Kind::Double);
    let draws = Draws::common(points, 3);
    let params = [
        [0.3, -0.4, 1.1, -0.2, 0.1, -0.7],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [-1.3, 0.8, 0.2, -1.2, 0.4, -0.1],
    ];
    for curvature in [false, true] {
        let wanted = Wanted {
            loss: true,
            curvature,
        };
        let mut objective = Objective::new(&double, &x).unwrap();
        let trials: Vec<&[f64]> = params.iter().map(<[f64; 6]>::as_slice).collect();
        let evaluations = objective
            .evaluate(&[0, 1, 2], &trials, &draws, wanted)
            .unwrap();
        for (b, evaluation) in evaluations.iter().enumerate() {
            let x = x.narrow(0, b as i64, 1);
            let value = loss(&double, &x, &params[b], &noise);
            let off = (evaluation.loss / value - 1.0).abs();
            assert!(off < 1e-7, "{off}");
            for q in 0..6 {
                let step = 1e-5;
                let at = |shift: f64| {
                    let mut moved = params[b];
                    moved[q] += shift;
                    loss(&double, &x, &moved, &noise)
                };
                let slope = (at(step) - at(-step)) / (2.0 * step);
                let own = if q < 3 {
                    evaluation.mean_gradient[q] / params[b][3 + q].exp()
                } else {
                    evaluation.log_std_gradient[q - 3]
                };
                // Draws and sums are of 24 bits: 6e-8 of terms that are of size 1.
                assert!(
                    (own - slope).abs() < 1e-6 * slope.abs().max(1.0),
                    "{own} for {slope}"
                );
            }
        }
    }
}

#[test]
fn the_curvature_on_a_linear_gaussian_is_the_precision_stretched() {
    for dim in [3, 20] {
        let model = LinearGaussian::random(dim, 2 * dim, 0.5, SeedKey::root(11), CPU);
        let batch = sampled(&model, 1);
        let (_, covariance) = model.posterior_moments(batch.x()).unwrap();
        let precision = Tensor::linalg_inv(&covariance);
        let n = dim as usize;
        let points = whitened_sobol(SeedKey::root(12), draws_for(n), n);
        let draws = Draws::common(points, n);
        let params: Vec<f64> = (0..2 * n).map(|i| 0.3 * (i as f64).sin()).collect();
        let wanted = Wanted {
            loss: false,
            curvature: true,
        };
        let mut objective = Objective::new(&model, batch.x()).unwrap();
        let evaluations = objective
            .evaluate(&[0], &[&params], &draws, wanted)
            .unwrap();
        let curvature = evaluations[0].curvature.as_ref().unwrap();
        let largest = precision.abs().max().double_value(&[]);
        for i in 0..n {
            for j in 0..n {
                let stretch = (params[n + i] + params[n + j]).exp();
                let exact = stretch * precision.double_value(&[i as i64, j as i64]);
                let off = (curvature[(i, j)] - exact).abs() / largest;
                assert!(off < 1e-4, "{i}, {j}: {} for {exact}", curvature[(i, j)]);
            }
        }
    }
}
