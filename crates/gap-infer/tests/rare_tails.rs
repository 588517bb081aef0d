//! A posterior in one dimension of whose curvature half comes from draws beyond 2.5 standard deviations: searches end
//! at the optimum by quadrature, their bounds hold, and refinement does not lose what a good start has.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod searches;

use gap_data::Batch;
use gap_infer::StopReason;
use gap_infer::ascent::{Objective, SearchState, run_phase};
use gap_infer::free_form::StartingPoint;
use gap_model::{LatentVariableModel, NonlinearHierarchical};
use gap_spec::{Phase, StepRule, StoppingRule};
use gap_torch::SeedKey;
use searches::{CPU, most, sampled, search};
use tch::{Kind, Tensor};

const N_POINTS: u64 = 100;
const TOLERANCE_NATS: f64 = 0.01;

/// `−L` by the trapezoid rule, up to a constant.
struct Quadrature {
    model: NonlinearHierarchical,
    x: Tensor,       // [B, 1]
    normals: Tensor, // [S, 1]
    weights: Tensor, // [S, 1]
}

impl Quadrature {
    fn new(model: &NonlinearHierarchical, batch: &Batch) -> Self {
        let normals = Tensor::linspace(-8.0, 8.0, 321, (Kind::Double, CPU)).unsqueeze(1);
        let weights = (normals.square() * -0.5).exp();
        Self {
            model: model.to_kind(Kind::Double),
            x: batch.x().to_kind(Kind::Double),
            weights: &weights / weights.sum(Kind::Double),
            normals,
        }
    }

    fn losses(&self, params: &[[f64; 2]]) -> Vec<f64> {
        let params = Tensor::from_slice2(params);
        let (mean, log_std) = (params.select(1, 0), params.select(1, 1));
        let z = (&self.normals * log_std.exp() + mean).unsqueeze(2);
        let log_joint = self.model.log_joint(&self.x, &z).unwrap();
        let loss = -(log_joint * &self.weights).sum_dim_intlist(0, false, Kind::Double) - log_std;
        Vec::try_from(loss).unwrap()
    }

    /// The local optima near `params`, by Newton's steps on differences, each halved until it gains.
    fn optima_near(&self, params: &[[f64; 2]]) -> Vec<[f64; 2]> {
        const H: f64 = 1e-3;
        let moved = |at: &[[f64; 2]], by: [f64; 2]| -> Vec<f64> {
            let at = at.iter().map(|p| [p[0] + by[0] * p[1].exp(), p[1] + by[1]]);
            self.losses(&at.collect::<Vec<_>>())
        };
        let mut at = params.to_vec();
        for _ in 0..25 {
            let now = self.losses(&at);
            let [up, down] = [H, -H].map(|h| [[h, 0.0], [0.0, h]].map(|by| moved(&at, by)));
            let mut shares = vec![1.0; at.len()];
            let mut next = at.clone();
            for _ in 0..6 {
                for (row, next) in next.iter_mut().enumerate() {
                    let step = [0, 1].map(|i| {
                        let slope = (up[i][row] - down[i][row]) / (2.0 * H);
                        let curvature = (up[i][row] + down[i][row] - 2.0 * now[row]) / (H * H);
                        (shares[row] * slope / curvature.abs().max(0.1)).clamp(-0.3, 0.3)
                    });
                    *next = [
                        at[row][0] - step[0] * at[row][1].exp(),
                        at[row][1] - step[1],
                    ];
                }
                for (row, loss) in self.losses(&next).into_iter().enumerate() {
                    if loss > now[row] {
                        shares[row] *= 0.5;
                    }
                }
            }
            let gains = self.losses(&next).into_iter().zip(&now);
            for (row, (loss, now)) in gains.enumerate() {
                if loss <= *now {
                    at[row] = next[row];
                }
            }
        }
        at
    }
}

fn pairs(rows: &[Vec<f64>]) -> Vec<[f64; 2]> {
    rows.iter().map(|row| [row[0], row[1]]).collect()
}

#[test]
fn searches_end_at_the_optimum_and_bounds_hold() {
    let model = NonlinearHierarchical::new(0.0, CPU);
    let batch = sampled(&model, N_POINTS);
    let exact = Quadrature::new(&model, &batch);
    let fit = search(&model, &batch, vec![StartingPoint::Prior], TOLERANCE_NATS);
    let found = pairs(&fit.fitted.params.to_rows());
    let best = exact.losses(&exact.optima_near(&found));
    let losses = exact.losses(&found);
    let short: Vec<f64> = losses.iter().zip(best).map(|(a, b)| a - b).collect();
    let covered = fit.fitted.stops.iter().zip(&short).filter(|(stop, short)| {
        let StopReason::Converged { remaining, .. } = stop else {
            panic!("{stop:?}");
        };
        remaining.upper_bound_nats() >= **short
    });
    let (covered, mean) = (
        covered.count(),
        short.iter().sum::<f64>() / short.len() as f64,
    );
    println!(
        "{covered} of {N_POINTS} covered, mean {mean:.5}, most {:.5}",
        most(&short)
    );
    assert!(covered >= 95, "{covered}");
    assert!(mean < 0.001 && most(&short) < TOLERANCE_NATS, "{mean}");
}

#[test]
fn refinement_of_a_good_start_never_loses() {
    let model = NonlinearHierarchical::new(0.0, CPU);
    let batch = sampled(&model, N_POINTS);
    let exact = Quadrature::new(&model, &batch);
    let fit = search(&model, &batch, vec![StartingPoint::Prior], TOLERANCE_NATS);
    let optima = exact.optima_near(&pairs(&fit.fitted.params.to_rows()));
    // About 0.006 nats from the optimum, like the outputs of a good encoder.
    let start = optima.iter().enumerate().map(|(row, [mean, log_std])| {
        let sign = if row % 2 == 0 { 1.0 } else { -1.0 };
        vec![mean + sign * 0.08 * log_std.exp(), log_std + 0.05]
    });
    let start: Vec<Vec<f64>> = start.collect();
    let mut states: Vec<SearchState> = start
        .iter()
        .cloned()
        .map(SearchState::starting_at)
        .collect();
    let mut path = vec![exact.losses(&pairs(&start))];
    let rule = StepRule::AveragedNewton;
    let (_, noise) = StepRule::refining_rules()
        .find(|(refining, _)| *refining == rule)
        .unwrap();
    let phase = Phase {
        noise,
        n_samples: 32,
        stopping: StoppingRule::Never,
        keeps_start_until_certain: true,
        ..Phase::new(rule, 20)
    };
    let mut objective = Objective::new(&model, batch.x()).unwrap();
    let rows: Vec<usize> = (0..batch.len()).collect();
    run_phase(
        &mut objective,
        &phase,
        &rows,
        &mut states,
        batch.ids(),
        SeedKey::root(4),
        &mut |states| {
            let params: Vec<Vec<f64>> = states.iter().map(|state| state.params.clone()).collect();
            path.push(exact.losses(&pairs(&params)));
        },
    )
    .unwrap();
    let best = exact.losses(&optima);
    let mean = |losses: &[f64]| {
        let short = losses.iter().zip(&best).map(|(loss, best)| loss - best);
        short.sum::<f64>() / best.len() as f64
    };
    let gaps: Vec<f64> = path.iter().map(|losses| mean(losses)).collect();
    println!("{gaps:.5?}");
    for (steps, refined) in path.iter().enumerate().skip(1) {
        let rises: Vec<f64> = refined.iter().zip(&path[0]).map(|(r, s)| r - s).collect();
        let n = rises.len() as f64;
        let rise = rises.iter().sum::<f64>() / n;
        let scatter: f64 = rises.iter().map(|r| (r - rise).powi(2)).sum();
        let std_error = (scatter / (n * (n - 1.0))).sqrt();
        assert!(rise <= 3.0 * std_error, "{steps}: {rise} {gaps:?}");
    }
    assert!(gaps[20] < 0.1 * gaps[0], "{gaps:?}");
}
