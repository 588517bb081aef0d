//! Refinement: a fixed number of ascent steps from the encoder's output. One ascent gives `q` for several
//! numbers of steps.

use crate::amortized::AmortizedInference;
use crate::ascent::{Objective, SearchState, run_phase};
use crate::encoder::Encoder;
use crate::family::{VariationalFamily, VariationalParams};
use crate::inference::{FitCost, FittedBatch, InferError, Inference, StopReason};
use gap_data::Batch;
use gap_model::LatentVariableModel;
use gap_spec::Phase;
use gap_torch::SeedKey;
use tch::Device;

/// Finds `q` by an ascent from the encoder's output.
pub struct RefinedInference<'a> {
    /// The family.
    pub family: &'a dyn VariationalFamily,
    /// The encoder.
    pub encoder: &'a Encoder,
    /// The step rule, its draws, and the maximum number of steps.
    pub phase: Phase,
    /// The numbers of steps after which `q` is returned, in rising order.
    pub steps: Vec<u32>,
}

impl RefinedInference<'_> {
    /// Runs one ascent, and returns a fitted batch for each number of steps.
    ///
    /// The cost of each includes the encoder's forward pass and the steps so far.
    ///
    /// # Errors
    ///
    /// [`InferError`] if sizes do not fit.
    pub fn fit_after_each_step_count(
        &self,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<Vec<FittedBatch>, InferError> {
        let amortized = AmortizedInference {
            family: self.family,
            encoder: self.encoder,
        };
        let start = amortized.infer(model, batch, key)?;
        let mut objective = Objective::for_family(self.family, self.phase.rule, model, batch.x())?;
        let mut states: Vec<SearchState> = start
            .params
            .to_rows()
            .into_iter()
            .map(SearchState::starting_at)
            .collect();
        let rows: Vec<usize> = (0..batch.len()).collect();
        let mut path = Vec::with_capacity(self.steps.len());
        let mut round = 0;
        let mut observer = |states: &[SearchState]| {
            round += 1;
            if self.steps.contains(&round) {
                path.push(fitted_batch_after_steps(
                    states,
                    &start,
                    round,
                    model.device(),
                ));
            }
        };
        let key = key.for_role("refinement");
        run_phase(
            &mut objective,
            &self.phase,
            &rows,
            &mut states,
            batch.ids(),
            key,
            &mut observer,
        )?;
        // The ascent ends early when all datapoints have failed or stopped; `q` is then the same for all
        // larger numbers of steps.
        for &steps in &self.steps[path.len()..] {
            path.push(fitted_batch_after_steps(
                &states,
                &start,
                steps,
                model.device(),
            ));
        }
        Ok(path)
    }
}

fn fitted_batch_after_steps(
    states: &[SearchState],
    start: &FittedBatch,
    steps: u32,
    device: Device,
) -> FittedBatch {
    let stop = |state: &SearchState| match state.failed_at {
        Some(step) => StopReason::NonFinite { step },
        None => StopReason::Direct { steps },
    };
    let cost = |(forward, state): (&FitCost, &SearchState)| FitCost {
        seconds: forward.seconds + state.seconds,
        joint_gradients: state.joint_gradients,
    };
    let params: Vec<&[f64]> = states.iter().map(|c| c.params.as_slice()).collect();
    FittedBatch {
        params: VariationalParams::from_rows(&params, device),
        stops: states.iter().map(stop).collect(),
        costs: start.costs.iter().zip(states).map(cost).collect(),
    }
}

impl Inference for RefinedInference<'_> {
    fn variational_family(&self) -> &dyn VariationalFamily {
        self.family
    }

    /// Returns `q` after the largest number of steps.
    fn infer(
        &self,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<FittedBatch, InferError> {
        let mut path = self.fit_after_each_step_count(model, batch, key)?;
        Ok(path.pop().expect("a checked spec has a number of steps"))
    }
}
