//! Adam, with a state for each parameter of each datapoint.

use super::{StepRule, retain_rows};

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Kingma and Ba 2015, "Adam", Algorithm 1, with their constants, uphill.
///
/// Written out on slices: `torch`'s optimisers share one step count among all rows, and their
/// vector tails would let a datapoint's last bits depend on the size of the batch.
pub struct Adam {
    learning_rate: f64,
    width: usize,
    step: i32,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Adam {
    /// For `batch` datapoints of `width` parameters each.
    pub fn new(learning_rate: f64, width: usize, batch: usize) -> Self {
        Self {
            learning_rate,
            width,
            step: 0,
            first: vec![0.0; width * batch],
            second: vec![0.0; width * batch],
        }
    }
}

impl StepRule for Adam {
    fn step(&mut self, params: &mut [f32], gradients: &[f32], frozen: &[bool]) {
        self.step += 1;
        let correction_1 = 1.0 - f64::from(BETA_1).powi(self.step);
        let correction_2 = 1.0 - f64::from(BETA_2).powi(self.step);
        let rate = (self.learning_rate / correction_1) as f32;
        let root_correction = (1.0 / correction_2.sqrt()) as f32;
        let rows = params
            .chunks_exact_mut(self.width)
            .zip(gradients.chunks_exact(self.width))
            .zip(self.first.chunks_exact_mut(self.width))
            .zip(self.second.chunks_exact_mut(self.width))
            .zip(frozen);
        for ((((params, gradients), first), second), _) in rows.filter(|(_, frozen)| !**frozen) {
            for (((p, &g), m), v) in params.iter_mut().zip(gradients).zip(first).zip(second) {
                *m = BETA_1 * *m + (1.0 - BETA_1) * g;
                *v = BETA_2 * *v + (1.0 - BETA_2) * g * g;
                *p += rate * *m / (v.sqrt() * root_correction + EPSILON);
            }
        }
    }

    fn retain(&mut self, keep: &[bool]) {
        retain_rows(&mut self.first, self.width, keep);
        retain_rows(&mut self.second, self.width, keep);
    }

    fn scale_step(&mut self, factor: f64) {
        self.learning_rate *= factor;
    }
}
