//! Adam, with a state for each parameter of each datapoint.

use super::objective::{Evaluation, Wanted};
use super::{Draws, Progress, StepRule};

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
/// The weight of the newest iterate in the average after `t` steps is `4 / (t + 3)`: the first
/// half of the way then counts a sixteenth.
const AVERAGING: f64 = 3.0;

/// How Adam is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamSettings {
    /// The step size.
    pub learning_rate: f64,
    /// Whether the answer is an average of the iterates (polynomial-decay averaging, Shamir and
    /// Zhang 2013, §4) or the last one.
    pub averaged: bool,
    /// Whether it steps in `log σ²`, as published code does, or in `log σ`.
    pub log_variance: bool,
}

/// A gradient is all it takes.
pub const WANTED: Wanted = Wanted {
    loss: false,
    curvature: false,
};

/// Kingma and Ba 2015, "Adam", Algorithm 1, with their constants.
pub struct Adam {
    settings: AdamSettings,
    step: i32,
    first: Vec<f64>,
    second: Vec<f64>,
    params: Vec<f64>,
    average: Vec<f64>,
}

impl Adam {
    pub fn new(settings: AdamSettings, start: Vec<f64>) -> Self {
        Self {
            settings,
            step: 0,
            first: vec![0.0; start.len()],
            second: vec![0.0; start.len()],
            average: start.clone(),
            params: start,
        }
    }
}

impl StepRule for Adam {
    fn trial(&self) -> &[f64] {
        &self.params
    }

    fn answer(&self) -> &[f64] {
        if self.settings.averaged {
            &self.average
        } else {
            &self.params
        }
    }

    fn tell(&mut self, evaluation: &Evaluation, _: &Draws) -> Progress {
        self.step += 1;
        let dim = self.params.len() / 2;
        let correction_1 = 1.0 - BETA_1.powi(self.step);
        let correction_2 = 1.0 - BETA_2.powi(self.step);
        // With ρ = log σ² the gradient is half that in log σ, and log σ moves half as far as ρ.
        let halved = if self.settings.log_variance { 0.5 } else { 1.0 };
        for i in 0..2 * dim {
            let (gradient, stretch) = if i < dim {
                let std = self.params[dim + i].exp();
                (evaluation.mean_gradient[i] / std, 1.0)
            } else {
                (halved * evaluation.log_std_gradient[i - dim], halved)
            };
            let (m, v) = (&mut self.first[i], &mut self.second[i]);
            *m = BETA_1 * *m + (1.0 - BETA_1) * gradient;
            *v = BETA_2 * *v + (1.0 - BETA_2) * gradient * gradient;
            let step = (*m / correction_1) / ((*v / correction_2).sqrt() + EPSILON);
            self.params[i] -= self.settings.learning_rate * stretch * step;
        }
        let weight = (AVERAGING + 1.0) / (f64::from(self.step) + AVERAGING);
        for (average, params) in self.average.iter_mut().zip(&self.params) {
            *average += weight * (params - *average);
        }
        Progress::Iterate {
            decrement: f64::NAN,
        }
    }
}
