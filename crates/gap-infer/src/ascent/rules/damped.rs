//! Steps on fixed draws that are damped until they gain enough of what they predict (Levenberg and Marquardt):
//! the part that Newton-Stein and the natural gradient share.

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

    /// The gain of the step without damping, nats, as far as the draws determine it; `None` if the rule has no
    /// such step. Damping hides directions of little curvature, in which there may be much to gain.
    fn undamped_gain_nats(_gradient: &WhitenedGradient) -> Option<f64> {
        None
    }
}

const INITIAL_DAMPING: f64 = 0.35;
/// In whitened coordinates the least curvature is about ten times the inverse of the condition number of the
/// posterior's precision. Damping above it would hide the directions that are hardest to solve.
const MIN_DAMPING: f64 = 1e-8;
const MAX_DAMPING: f64 = 1e4;
/// The largest step in any one mean, in standard deviations of `q`, at first. It grows by
/// [`LONGEST_STEP_GROWTH`] when a step of this length gains nearly what it predicted: along a narrow valley, the
/// optimum may be hundreds of standard deviations away.
const MAX_FIRST_MEAN_STEP_IN_STDS: f64 = 3.0;
const LONGEST_STEP_GROWTH: f64 = 4.0;

pub const EVALUATION_REQUEST: EvaluationRequest = EvaluationRequest {
    loss: true,
    curvature: true,
    scores: true,
    ..EvaluationRequest::GRADIENT_ONLY
};

/// One datapoint's descent by steps of the rule `D`, with its own damping.
pub struct DampedStepper<D> {
    skip_undamped_above_nats: f64,
    damping: f64,
    /// The largest step in any one mean, in standard deviations of `q`.
    longest: f64,
    /// Whether the step to the trial was cut to that.
    is_cut: bool,
    /// The largest step to the trial in any one mean.
    length: f64,
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
    /// An ascent that computes the gain of the undamped step only if the damped one promises less than
    /// `skip_undamped_above_nats`.
    pub const fn new(start: Vec<f64>, skip_undamped_above_nats: f64) -> Self {
        Self {
            skip_undamped_above_nats,
            damping: INITIAL_DAMPING,
            longest: MAX_FIRST_MEAN_STEP_IN_STDS,
            is_cut: false,
            length: 0.0,
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
        let gradient = evaluation.whitened_gradient();
        let length = for_mean.amax();
        let shrink = (self.longest / length).min(1.0);
        self.is_cut = shrink < 1.0;
        self.length = shrink * length;
        let dim = params.len() / 2;
        self.trial = params.to_vec();
        for i in 0..dim {
            self.trial[i] += params[dim + i].exp() * shrink * for_mean[i];
            self.trial[dim + i] += for_log_std[i];
        }
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

    fn update_with_evaluation(&mut self, mut evaluation: Evaluation) -> StepOutcome {
        if let Some(last) = self.last.take() {
            let before = last.evaluation.loss_nats();
            let gained = before - evaluation.loss_nats();
            // Losses from f32 values have a relative error of about 2e-5. A NaN is rejected.
            let taken = gained >= 0.05 * last.decrement - 2e-5 * before.abs();
            if taken {
                let share = gained / last.decrement;
                if share > 0.7 {
                    let factor = if share < 1.3 { 0.1 } else { 0.3 };
                    self.damping = (factor * self.damping).max(MIN_DAMPING);
                    if self.is_cut {
                        self.longest *= LONGEST_STEP_GROWTH;
                    }
                }
            } else {
                if self.length > MAX_FIRST_MEAN_STEP_IN_STDS {
                    self.longest = self.length / LONGEST_STEP_GROWTH;
                } else {
                    self.longest = MAX_FIRST_MEAN_STEP_IN_STDS;
                    self.damping = (4.0 * self.damping).max(0.3);
                }
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
        let promised = self.set_next_trial(&params, &evaluation);
        let outcome = promised.map_or(StepOutcome::Stuck, |decrement| {
            let undamped = (decrement < self.skip_undamped_above_nats)
                .then(|| D::undamped_gain_nats(evaluation.whitened_gradient()))
                .flatten();
            StepOutcome::Iterate {
                decrement: undamped.map_or(decrement, |gain| gain.max(decrement)),
            }
        });
        evaluation.forget_scores();
        self.last = Some(AcceptedTrial {
            params,
            evaluation,
            decrement: promised.unwrap_or(f64::NAN),
        });
        outcome
    }
}
