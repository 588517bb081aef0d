//! Refinement: a fixed number of ascent steps from the encoder's output, several numbers in one pass.

use crate::amortized::Amortized;
use crate::ascent::{Ascent, AscentSettings, Average};
use crate::encoder::Encoder;
use crate::family::VariationalFamily;
use crate::inference::{FitCost, FittedBatch, InferError, Inference, Stop};
use gap_data::Batch;
use gap_model::LatentVariableModel;
use gap_torch::SeedKey;

/// Ascent from what the encoder says. After `n` steps `q` is the mean of the iterates after step
/// `n / 2` (for one or two steps the last one): the noise of single iterates would hide the gap.
pub struct Refined<'a> {
    /// The family.
    pub family: &'a dyn VariationalFamily,
    /// The encoder.
    pub encoder: &'a Encoder,
    /// The ascent's settings.
    pub ascent: AscentSettings,
    /// The numbers of steps to give a `q` for, rising.
    pub steps: Vec<u32>,
}

impl Refined<'_> {
    /// One fitted batch for each number of steps, from one ascent.
    ///
    /// The cost of each holds the encoder's forward pass and the steps up to it.
    ///
    /// # Errors
    ///
    /// [`InferError`] if sizes do not fit.
    pub fn path(
        &self,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<Vec<FittedBatch>, InferError> {
        let amortized = Amortized {
            family: self.family,
            encoder: self.encoder,
        };
        let start = amortized.infer(model, batch, key)?;
        let mut ascent = Ascent::new(
            model,
            self.family,
            batch.x(),
            &start.params,
            self.ascent,
            key,
        );
        let mut averages: Vec<Average> = self
            .steps
            .iter()
            .map(|_| Average::new(ascent.params.len()))
            .collect();
        let mut path = Vec::with_capacity(self.steps.len());
        while path.len() < self.steps.len() {
            ascent.advance()?;
            let now = ascent.steps();
            for (average, &end) in averages.iter_mut().zip(&self.steps) {
                if (end / 2 + 1..=end).contains(&now) {
                    average.add(&ascent.params);
                }
            }
            if self.steps[path.len()] == now {
                path.push(self.snapshot(&ascent, &averages[path.len()], &start));
            }
        }
        Ok(path)
    }

    fn snapshot(&self, ascent: &Ascent, average: &Average, start: &FittedBatch) -> FittedBatch {
        let steps = ascent.steps();
        let stop = |failed: &Option<u32>| match *failed {
            Some(step) => Stop::NonFinite { step },
            None => Stop::Direct { steps },
        };
        let cost = |(forward, &seconds): (&FitCost, &f64)| FitCost {
            seconds: forward.seconds + seconds,
            joint_gradients: u64::from(steps) * u64::from(self.ascent.n_samples),
        };
        FittedBatch {
            params: ascent.tensor(&average.mean()),
            stops: ascent.failed_at.iter().map(stop).collect(),
            costs: start.costs.iter().zip(&ascent.seconds).map(cost).collect(),
        }
    }
}

impl Inference for Refined<'_> {
    fn family(&self) -> &dyn VariationalFamily {
        self.family
    }

    /// `q` after the most steps.
    fn infer(
        &self,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<FittedBatch, InferError> {
        let mut path = self.path(model, batch, key)?;
        Ok(path.pop().expect("a checked spec has a number of steps"))
    }
}
