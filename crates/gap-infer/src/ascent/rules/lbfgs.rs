//! L-BFGS on fixed draws, with backtracking: for starts far from the optimum.

use crate::ascent::evaluation::{Evaluation, EvaluationRequest};
use crate::ascent::stepper::{StepOutcome, Stepper};
use std::collections::VecDeque;

/// How many of the latest pairs of a step and its gradient change are kept.
const MAX_CURVATURE_PAIRS: usize = 6;
/// The largest step in any one scaled coordinate.
const MAX_COORDINATE_STEP: f64 = 4.0;
/// A trial is accepted if it gains at least this fraction of what the slope predicts (Armijo).
const ARMIJO_CONSTANT: f64 = 1e-4;
/// How much less than that a trial may gain and still be accepted, nats: the noise of losses computed in `f32`.
const ARMIJO_SLACK_NATS: f64 = 1e-4;
const MAX_BACKTRACKS: u32 = 6;

pub const EVALUATION_REQUEST: EvaluationRequest = EvaluationRequest {
    loss: true,
    ..EvaluationRequest::GRADIENT_ONLY
};

/// L-BFGS (Liu and Nocedal 1989) in the coordinates `(μ / scale, log σ)`; `scale` is the start's `σ`, limited
/// to 0.02 to 1.
pub struct Lbfgs {
    scale: Vec<f64>, // [2D], 1 for log σ
    /// The last iterate and its loss and gradient, in scaled coordinates; `None` before the first.
    last: Option<(Vec<f64>, f64, Vec<f64>)>,
    direction: Vec<f64>,
    slope: f64,
    step: f64,
    backtracks: u32,
    pairs: VecDeque<CurvaturePair>,
    trial: Vec<f64>,  // λ
    answer: Vec<f64>, // λ
}

struct CurvaturePair {
    step: Vec<f64>,
    change: Vec<f64>,
    product: f64,
}

impl Lbfgs {
    pub fn new(start: Vec<f64>) -> Self {
        let dim = start.len() / 2;
        let scale = start[dim..].iter().map(|r| r.exp().clamp(0.02, 1.0));
        Self {
            scale: scale.chain(std::iter::repeat_n(1.0, dim)).collect(),
            last: None,
            direction: Vec::new(),
            slope: 0.0,
            step: 1.0,
            backtracks: 0,
            pairs: VecDeque::new(),
            answer: start.clone(),
            trial: start,
        }
    }

    fn to_scaled_coordinates(&self, params: &[f64]) -> Vec<f64> {
        params.iter().zip(&self.scale).map(|(p, s)| p / s).collect()
    }

    /// The gradient in scaled coordinates; `∂/∂(μ / scale)` is computed from the evaluation's `σ ∂/∂μ`.
    fn scaled_loss_gradient(&self, evaluation: &Evaluation) -> Vec<f64> {
        let dim = self.scale.len() / 2;
        let gradient = evaluation.whitened_gradient();
        let for_mean = gradient
            .mean
            .iter()
            .zip(&self.scale)
            .zip(&self.trial[dim..])
            .map(|((g, scale), r)| g / r.exp() * scale);
        let for_log_std = gradient.log_std.iter().copied();
        for_mean.chain(for_log_std).collect()
    }

    /// Returns `−H g` by the two-loop recursion, where `H` approximates the inverse Hessian. Without stored
    /// pairs, `H` is ½ for the means and ¼ for `log σ`.
    fn descent_direction(&self, gradient: &[f64]) -> Vec<f64> {
        let dim = gradient.len() / 2;
        let Some(newest) = self.pairs.back() else {
            let half = gradient[..dim].iter().map(|g| -0.5 * g);
            let quarter = gradient[dim..].iter().map(|g| -0.25 * g);
            return half.chain(quarter).collect();
        };
        let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut weights = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let weight = dot(&pair.step, &direction) / pair.product;
            add_scaled(&mut direction, -weight, &pair.change);
            weights.push(weight);
        }
        let shrink = newest.product / dot(&newest.change, &newest.change);
        direction.iter_mut().for_each(|d| *d *= shrink);
        for (pair, weight) in self.pairs.iter().zip(weights.iter().rev()) {
            let back = dot(&pair.change, &direction) / pair.product;
            add_scaled(&mut direction, weight - back, &pair.step);
        }
        direction
    }

    fn set_next_trial(&mut self) {
        let (at, _, _) = self.last.as_ref().expect("a step starts at an iterate");
        let moved = at.iter().zip(&self.direction).zip(&self.scale);
        self.trial = moved
            .map(|((v, d), scale)| (v + self.step * d) * scale)
            .collect();
    }

    fn store_curvature_pair(
        &mut self,
        from: (Vec<f64>, f64, Vec<f64>),
        at: &[f64],
        gradient: &[f64],
    ) {
        let step: Vec<f64> = at.iter().zip(&from.0).map(|(a, b)| a - b).collect();
        let change: Vec<f64> = gradient.iter().zip(&from.2).map(|(a, b)| a - b).collect();
        let product = dot(&step, &change);
        // Directions lead downhill only if all pairs have positive curvature.
        if product > 1e-10 * dot(&change, &change) {
            if self.pairs.len() == MAX_CURVATURE_PAIRS {
                self.pairs.pop_front();
            }
            self.pairs.push_back(CurvaturePair {
                step,
                change,
                product,
            });
        }
    }
}

impl Stepper for Lbfgs {
    fn params_to_evaluate(&self) -> &[f64] {
        &self.trial
    }

    fn current_solution(&self) -> &[f64] {
        &self.answer
    }

    fn update_with_evaluation(&mut self, evaluation: Evaluation) -> StepOutcome {
        if let Some((_, loss, _)) = &self.last {
            let promised = self.step * self.slope;
            // Written so that a NaN loss is rejected.
            let taken =
                evaluation.loss_nats() <= loss + ARMIJO_CONSTANT * promised + ARMIJO_SLACK_NATS;
            if !taken {
                if self.backtracks == MAX_BACKTRACKS {
                    return StepOutcome::Stuck;
                }
                self.backtracks += 1;
                // Backtracks to the minimum of the parabola through both losses with the slope at the iterate.
                let rise = evaluation.loss_nats() - loss - promised;
                let factor = -0.5 * promised / rise;
                self.step *= if factor.is_finite() {
                    factor.clamp(0.1, 0.5)
                } else {
                    0.1
                };
                self.set_next_trial();
                return StepOutcome::Searching;
            }
        }
        let gradient = self.scaled_loss_gradient(&evaluation);
        let at = self.to_scaled_coordinates(&self.trial);
        if let Some(from) = self.last.take() {
            self.store_curvature_pair(from, &at, &gradient);
        }
        self.answer.clone_from(&self.trial);
        self.direction = self.descent_direction(&gradient);
        let longest = self.direction.iter().fold(0.0_f64, |m, d| m.max(d.abs()));
        if longest > MAX_COORDINATE_STEP {
            let shrink = MAX_COORDINATE_STEP / longest;
            self.direction.iter_mut().for_each(|d| *d *= shrink);
        }
        self.slope = dot(&gradient, &self.direction);
        self.step = 1.0;
        self.backtracks = 0;
        self.last = Some((at, evaluation.loss_nats(), gradient));
        self.set_next_trial();
        StepOutcome::Iterate {
            decrement: -0.5 * self.slope,
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add_scaled(to: &mut [f64], factor: f64, other: &[f64]) {
    for (to, other) in to.iter_mut().zip(other) {
        *to += factor * other;
    }
}
