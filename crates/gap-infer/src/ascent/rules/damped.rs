//! Steps on fixed draws that are damped until they gain enough of what they predict (Levenberg and Marquardt):
//! the part that Newton-Stein and the natural gradient share.

use crate::ascent::curvature::shrink_factor;
use crate::ascent::draws::NoiseDraws;
use crate::ascent::evaluation::{Evaluation, EvaluationRequest, WhitenedGradient};
use crate::ascent::stepper::{StepOutcome, Stepper};
use nalgebra::DVector;

/// A rule that turns a gradient into a step.
pub trait DampedStepDirection {
    /// Returns the steps in `w = (z − μ) / σ` and in `log σ`; the larger `damping` (at least 0), the shorter
    /// they are. `None` if there is no step at this damping.
    fn step_at_damping(
        gradient: &WhitenedGradient,
        damping: f64,
    ) -> Option<(DVector<f64>, DVector<f64>)>;
}

const INITIAL_DAMPING: f64 = 0.35;
const MIN_DAMPING: f64 = 1e-3;
const MAX_DAMPING: f64 = 1e4;
/// The largest step in any one mean, in standard deviations of `q`.
const MAX_MEAN_STEP_IN_STDS: f64 = 3.0;

pub const EVALUATION_REQUEST: EvaluationRequest = EvaluationRequest {
    loss: true,
    curvature: true,
    ..EvaluationRequest::GRADIENT_ONLY
};

/// One datapoint's descent by steps of the rule `D`, with its own damping.
pub struct DampedStepper<D> {
    damping: f64,
    last: Option<AcceptedTrial>,
    trial: Vec<f64>,
    direction: std::marker::PhantomData<D>,
}

struct AcceptedTrial {
    params: Vec<f64>,
    evaluation: Evaluation,
    decrement: f64,
}

impl<D: DampedStepDirection> DampedStepper<D> {
    pub const fn new(start: Vec<f64>) -> Self {
        Self {
            damping: INITIAL_DAMPING,
            last: None,
            trial: start,
            direction: std::marker::PhantomData,
        }
    }

    /// Sets the next trial, one step from `params`, and returns its predicted gain, nats; `None` if there is no
    /// step even at the largest damping.
    fn set_next_trial(&mut self, params: &[f64], evaluation: &Evaluation) -> Option<f64> {
        let (for_mean, for_log_std) = loop {
            match D::step_at_damping(evaluation.whitened_gradient(), self.damping) {
                Some(step) => break step,
                None if self.damping >= MAX_DAMPING => return None,
                None => self.damping = (3.0 * self.damping).max(INITIAL_DAMPING),
            }
        };
        let shrink = shrink_factor(&for_mean, MAX_MEAN_STEP_IN_STDS);
        let dim = params.len() / 2;
        self.trial = params.to_vec();
        for i in 0..dim {
            self.trial[i] += params[dim + i].exp() * shrink * for_mean[i];
            self.trial[dim + i] += for_log_std[i];
        }
        let gradient = evaluation.whitened_gradient();
        Some(
            -0.5 * shrink * for_mean.dot(&gradient.mean) - 0.5 * for_log_std.dot(&gradient.log_std),
        )
    }
}

impl<D: DampedStepDirection> Stepper for DampedStepper<D> {
    fn params_to_evaluate(&self) -> &[f64] {
        &self.trial
    }

    fn current_solution(&self) -> &[f64] {
        self.last.as_ref().map_or(&self.trial, |last| &last.params)
    }

    fn converged_solution(&self) -> &[f64] {
        &self.trial
    }

    fn update_with_evaluation(&mut self, evaluation: &Evaluation, _: &NoiseDraws) -> StepOutcome {
        if let Some(last) = self.last.take() {
            let before = last.evaluation.loss_nats();
            let gained = before - evaluation.loss_nats();
            // Losses from f32 values have a relative error of about 2e-5. A NaN is rejected.
            let taken = gained >= 0.05 * last.decrement - 2e-5 * before.abs();
            if taken {
                if gained / last.decrement > 0.7 {
                    self.damping = (0.3 * self.damping).max(MIN_DAMPING);
                }
            } else {
                self.damping = (4.0 * self.damping).max(0.3);
                if self.damping > MAX_DAMPING {
                    self.last = Some(last);
                    return StepOutcome::Stuck;
                }
                let promised = self.set_next_trial(&last.params, &last.evaluation);
                let stuck = promised.is_none();
                self.last = Some(AcceptedTrial {
                    decrement: promised.unwrap_or(last.decrement),
                    ..last
                });
                return if stuck {
                    StepOutcome::Stuck
                } else {
                    StepOutcome::Searching
                };
            }
        }
        let params = self.trial.clone();
        let promised = self.set_next_trial(&params, evaluation);
        self.last = Some(AcceptedTrial {
            params,
            evaluation: evaluation.clone(),
            decrement: promised.unwrap_or(f64::NAN),
        });
        promised.map_or(StepOutcome::Stuck, |decrement| StepOutcome::Iterate {
            decrement,
        })
    }
}
