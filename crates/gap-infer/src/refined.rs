//! Refinement: a fixed number of ascent steps from the encoder's output. One ascent gives `q` for several
//! numbers of steps.
//!
//! The encoder's output may be better than what a few steps lead to. Newton's steps wait until their own draws say
//! that they gain ([`Phase::keeps_start_until_certain`]). Adam's do not know what they gain: after each number of
//! steps, `q` is compared with the last one that was kept, on draws that the ascent has not used.

use crate::amortized::AmortizedInference;
use crate::ascent::{Objective, SearchState, run_phase};
use crate::encoder::Encode;
use crate::family::{VariationalFamily, VariationalParams};
use crate::held_out::values_by_draw_set;
use crate::inference::{FitCost, FittedBatch, InferError, Inference, StopReason};
use gap_data::Batch;
use gap_model::LatentVariableModel;
use gap_spec::{Phase, StepRule};
use gap_torch::SeedKey;

/// Finds `q` by an ascent from the encoder's output.
pub struct RefinedInference<'a> {
    /// The family.
    pub family: &'a dyn VariationalFamily,
    /// The encoder.
    pub encoder: &'a dyn Encode,
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
        let encoded = states.clone();
        let mut path: Vec<Vec<SearchState>> = Vec::with_capacity(self.steps.len());
        let mut round = 0;
        let mut observer = |states: &[SearchState]| {
            round += 1;
            if self.steps.contains(&round) {
                path.push(states.to_vec());
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
        path.resize(self.steps.len(), states);
        if self.phase.rule == StepRule::Adam {
            keep_certain_gains(&mut objective, encoded, &mut path, key)?;
        }
        let fitted = path
            .iter()
            .zip(&self.steps)
            .map(|(states, &steps)| fitted_batch_after_steps(states, &start, steps, model));
        Ok(fitted.collect())
    }
}

/// The number of draws in each set on which a refined `q` is compared.
const DRAWS_PER_COMPARISON_SET: usize = 32;

/// Replaces the parameters of each state in `path` by the last ones that were kept, `start` at first, unless it is
/// certain that they are better. The draws of the comparison are added to the costs.
fn keep_certain_gains(
    objective: &mut Objective,
    start: Vec<SearchState>,
    path: &mut [Vec<SearchState>],
    key: SeedKey,
) -> Result<(), InferError> {
    let key = key.for_role("comparison");
    let rows: Vec<usize> = (0..start.len()).collect();
    let mut kept = start;
    let mut kept_values =
        values_by_draw_set(objective, &mut kept, &rows, DRAWS_PER_COMPARISON_SET, key)?;
    // The cost of the comparisons so far, which later numbers of steps bear too.
    let mut earlier: Vec<(u64, f64)> = kept
        .iter()
        .map(|state| (state.joint_gradients, state.seconds))
        .collect();
    for states in path {
        let before: Vec<(u64, f64)> = states
            .iter()
            .map(|state| (state.joint_gradients, state.seconds))
            .collect();
        let values = values_by_draw_set(objective, states, &rows, DRAWS_PER_COMPARISON_SET, key)?;
        for (row, values) in values.into_iter().enumerate() {
            let state = &mut states[row];
            if values.gain_over(&kept_values[row]).is_certain() {
                kept[row].params.clone_from(&state.params);
                kept_values[row] = values;
            } else {
                state.params.clone_from(&kept[row].params);
            }
            let own = (
                state.joint_gradients - before[row].0,
                state.seconds - before[row].1,
            );
            state.joint_gradients += earlier[row].0;
            state.seconds += earlier[row].1;
            earlier[row].0 += own.0;
            earlier[row].1 += own.1;
        }
    }
    Ok(())
}

fn fitted_batch_after_steps(
    states: &[SearchState],
    start: &FittedBatch,
    steps: u32,
    model: &dyn LatentVariableModel,
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
        params: VariationalParams::of_kind(&params, model.kind(), model.device()),
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
