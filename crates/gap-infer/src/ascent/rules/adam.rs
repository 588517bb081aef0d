//! Adam, with separate moments for each parameter of each datapoint.

use crate::ascent::evaluation::{Evaluation, EvaluationRequest, LossGradient, WhitenedGradient};
use crate::ascent::stepper::{StepOutcome, Stepper};
use gap_spec::AdamSettings;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
/// After `t` steps the newest iterate enters the average with the weight `4 / (t + 3)`, so that the first half
/// of the iterates has about 1/16 of the total weight.
const POLYNOMIAL_AVERAGING_EXPONENT: f64 = 3.0;

/// Adam needs only the gradient.
pub const EVALUATION_REQUEST: EvaluationRequest = EvaluationRequest::GRADIENT_ONLY;

/// Adam (Kingma and Ba 2015, Algorithm 1) with the paper's `β₁` and `β₂`.
pub struct Adam {
    settings: AdamSettings,
    step: i32,
    first: Vec<f64>,
    second: Vec<f64>,
    params: Vec<f64>,
    average: Vec<f64>,
    gradient: Vec<f64>,
}

impl Adam {
    pub fn new(settings: AdamSettings, start: Vec<f64>) -> Self {
        Self {
            settings,
            step: 0,
            first: vec![0.0; start.len()],
            second: vec![0.0; start.len()],
            average: start.clone(),
            gradient: vec![0.0; start.len()],
            params: start,
        }
    }

    /// Takes a step in `(μ, log σ)`, or in `(μ, log σ²)` if `log_variance` is set.
    fn adam_step_of_gaussian(&mut self, gradient: &WhitenedGradient, rate: f64, unbias: f64) {
        let dim = self.params.len() / 2;
        // The gradient in ρ = log σ² is half that in log σ, and log σ moves half as far as ρ.
        let halved = if self.settings.log_variance { 0.5 } else { 1.0 };
        let (for_mean, std) = (gradient.mean.as_slice(), gradient.std.as_slice());
        let for_log_std = gradient.log_std.as_slice();
        for i in 0..dim {
            self.gradient[i] = for_mean[i] / std[i];
            self.gradient[dim + i] = halved * for_log_std[i];
        }
        let (first, second) = (&mut self.first, &mut self.second);
        let (means, log_stds) = self.params.split_at_mut(dim);
        let mean_moments = (&mut first[..dim], &mut second[..dim]);
        let epsilon = self.settings.epsilon;
        adam_step(
            means,
            mean_moments,
            &self.gradient[..dim],
            [rate, unbias, epsilon],
        );
        let log_std_moments = (&mut first[dim..], &mut second[dim..]);
        adam_step(
            log_stds,
            log_std_moments,
            &self.gradient[dim..],
            [halved * rate, unbias, epsilon],
        );
    }
}

/// Takes one descent step, in a loop that the compiler can vectorise.
fn adam_step(
    params: &mut [f64],
    (first, second): (&mut [f64], &mut [f64]),
    gradient: &[f64],
    [rate, unbias, epsilon]: [f64; 3],
) {
    let moments = first.iter_mut().zip(second);
    for ((param, gradient), (first, second)) in params.iter_mut().zip(gradient).zip(moments) {
        *first += (1.0 - BETA_1) * (gradient - *first);
        *second += (1.0 - BETA_2) * (gradient * gradient - *second);
        *param -= rate * *first / (second.sqrt() * unbias + epsilon);
    }
}

impl Stepper for Adam {
    fn params_to_evaluate(&self) -> &[f64] {
        &self.params
    }

    fn current_solution(&self) -> &[f64] {
        if self.settings.averaged {
            &self.average
        } else {
            &self.params
        }
    }

    fn update_with_evaluation(&mut self, evaluation: Evaluation) -> StepOutcome {
        self.step = self.step.saturating_add(1);
        let rate = self.settings.learning_rate / (1.0 - BETA_1.powi(self.step));
        let unbias = (1.0 - BETA_2.powi(self.step)).sqrt().recip();
        match &evaluation.gradient {
            LossGradient::Params(gradient) => {
                let moments = (self.first.as_mut_slice(), self.second.as_mut_slice());
                let constants = [rate, unbias, self.settings.epsilon];
                adam_step(&mut self.params, moments, gradient, constants);
            }
            LossGradient::Whitened(_) | LossGradient::Scores(_) => {
                self.adam_step_of_gaussian(evaluation.whitened_gradient(), rate, unbias);
            }
        }
        if !self.settings.averaged {
            return StepOutcome::Iterate {
                decrement: f64::NAN,
            };
        }
        let weight = (POLYNOMIAL_AVERAGING_EXPONENT + 1.0)
            / (f64::from(self.step) + POLYNOMIAL_AVERAGING_EXPONENT);
        for (average, params) in self.average.iter_mut().zip(&self.params) {
            *average += weight * (params - *average);
        }
        StepOutcome::Iterate {
            decrement: f64::NAN,
        }
    }
}
