//! One loop over active datapoints; its step rules are the files below.
//!
//! Each datapoint ascends its own ELBO. The loop knows nothing of when to stop: free-form inference
//! asks the certificate, refinement counts. A datapoint that leaves is compacted away, and one whose
//! gradient stops being finite stays where it last was finite and never touches its neighbours.

mod adam;

pub use adam::Adam;

use crate::elbo_gradient::elbo_gradient;
use crate::family::{VariationalFamily, VariationalParams};
use crate::inference::InferError;
use gap_model::LatentVariableModel;
use gap_torch::{SeedKey, device, sobol_normal};
use std::time::Instant;
use tch::{Kind, Tensor};

/// How a gradient becomes a step. One state for each datapoint, none shared.
pub trait StepRule {
    /// Moves `params` uphill; both are `[B, Q]`, row after row. Rows that `frozen` marks stay.
    fn step(&mut self, params: &mut [f32], gradients: &[f32], frozen: &[bool]);

    /// Forgets the datapoints that `keep` does not mark.
    fn retain(&mut self, keep: &[bool]);

    /// Multiplies the step size by `factor`.
    fn scale_step(&mut self, factor: f64);
}

/// Keeps the rows of `values` (`width` wide) that `keep` marks.
pub(crate) fn retain_rows<T: Copy>(values: &mut Vec<T>, width: usize, keep: &[bool]) {
    let mut next = 0;
    for (row, _) in keep.iter().enumerate().filter(|(_, kept)| **kept) {
        values.copy_within(row * width..(row + 1) * width, next * width);
        next += 1;
    }
    values.truncate(next * width);
}

/// The ascent's fixed settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AscentSettings {
    /// Draws per datapoint and step.
    pub n_samples: u32,
    /// The step size of the step rule.
    pub learning_rate: f64,
}

/// Datapoints on their way uphill.
pub(crate) struct Ascent<'a> {
    pub model: &'a dyn LatentVariableModel,
    family: &'a dyn VariationalFamily,
    rule: Box<dyn StepRule>,
    key: SeedKey,
    n_samples: i64,
    x: Tensor, // [B, X], active rows only
    step: u32,
    /// `λ` of the active rows, `[B, Q]`.
    pub params: Vec<f32>,
    /// The step at which a row's gradient stopped being finite, if it did.
    pub failed_at: Vec<Option<u32>>,
    /// Wall time of each active row, seconds.
    pub seconds: Vec<f64>,
}

impl<'a> Ascent<'a> {
    pub fn new(
        model: &'a dyn LatentVariableModel,
        family: &'a dyn VariationalFamily,
        x: &Tensor,
        start: &VariationalParams,
        settings: AscentSettings,
        key: SeedKey,
    ) -> Self {
        let batch = x.size()[0] as usize;
        Self {
            model,
            family,
            rule: Box::new(Adam::new(
                settings.learning_rate,
                family.param_dim() as usize,
                batch,
            )),
            key: key.role("ascent"),
            n_samples: i64::from(settings.n_samples),
            x: x.shallow_clone(),
            step: 0,
            params: to_rows(&start.0),
            failed_at: vec![None; batch],
            seconds: vec![0.0; batch],
        }
    }

    /// How many datapoints are still on their way.
    pub fn n_active(&self) -> usize {
        self.failed_at.len()
    }

    /// Steps taken so far, by every active row.
    pub const fn steps(&self) -> u32 {
        self.step
    }

    pub const fn x(&self) -> &Tensor {
        &self.x
    }

    /// One step of every active row, on draws that are new at each step and common to all rows.
    pub fn advance(&mut self) -> Result<(), InferError> {
        let clock = Instant::now();
        self.step += 1;
        let key = self.key.index(u64::from(self.step));
        let noise = sobol_normal(
            key,
            self.n_samples,
            self.family.latent_dim(),
            self.x.device(),
        );
        let params = self.tensor(&self.params);
        let gradients = elbo_gradient(self.model, self.family, &params, &self.x, &noise)?;
        let gradients = to_rows(&gradients);
        let width = self.family.param_dim() as usize;
        for (failed_at, row) in self.failed_at.iter_mut().zip(gradients.chunks_exact(width)) {
            if failed_at.is_none() && !row.iter().all(|g| g.is_finite()) {
                *failed_at = Some(self.step);
            }
        }
        let frozen: Vec<bool> = self.failed_at.iter().map(Option::is_some).collect();
        self.rule.step(&mut self.params, &gradients, &frozen);
        self.spend(clock);
        Ok(())
    }

    /// Divides the time since `clock` among the active rows.
    pub fn spend(&mut self, clock: Instant) {
        device::synchronize(self.x.device());
        let share = clock.elapsed().as_secs_f64() / self.n_active() as f64;
        self.seconds
            .iter_mut()
            .for_each(|seconds| *seconds += share);
    }

    /// `values` (`[B, Q]`) as parameters of the active rows.
    pub fn tensor(&self, values: &[f32]) -> VariationalParams {
        let shape = [self.n_active() as i64, self.family.param_dim()];
        VariationalParams(
            Tensor::from_slice(values)
                .view(shape)
                .to_device(self.x.device()),
        )
    }

    /// Goes on from `params` with smaller steps.
    pub fn continue_from(&mut self, params: Vec<f32>, step_factor: f64) {
        self.params = params;
        self.rule.scale_step(step_factor);
    }

    /// Goes on with the rows that `keep` marks.
    pub fn retain(&mut self, keep: &[bool]) {
        let width = self.family.param_dim() as usize;
        retain_rows(&mut self.params, width, keep);
        retain_rows(&mut self.failed_at, 1, keep);
        retain_rows(&mut self.seconds, 1, keep);
        self.rule.retain(keep);
        let rows: Vec<i64> = (0..keep.len() as i64)
            .filter(|&b| keep[b as usize])
            .collect();
        let index = Tensor::from_slice(&rows).to_device(self.x.device());
        self.x = self.x.index_select(0, &index);
    }
}

/// A `[B, Q]` tensor, row after row.
pub(crate) fn to_rows(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.to_kind(Kind::Float).contiguous().view([-1]);
    Vec::<f32>::try_from(flat).expect("a float tensor holds floats")
}

/// The running mean of some of the iterates.
#[derive(Clone)]
pub(crate) struct Average {
    sum: Vec<f64>,
    count: u32,
}

impl Average {
    pub fn new(len: usize) -> Self {
        Self {
            sum: vec![0.0; len],
            count: 0,
        }
    }

    pub fn add(&mut self, values: &[f32]) {
        for (sum, &value) in self.sum.iter_mut().zip(values) {
            *sum += f64::from(value);
        }
        self.count += 1;
    }

    pub fn mean(&self) -> Vec<f32> {
        self.sum
            .iter()
            .map(|sum| (sum / f64::from(self.count)) as f32)
            .collect()
    }
}
