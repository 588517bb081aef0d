//! The search in families that contain a smaller one. It starts from the result in the smaller family, and
//! does not end below it, up to the noise of the comparison.
//!
//! If the encoder's output is better than that result, the search starts from it instead.

use super::best_end::{
    N_SELECTION_DRAWS, best_end_with_total_cost, compare_all_ends, fitted_batch_from_states,
};
use super::rounds::MAX_ROUNDS;
use super::{FreeFormFit, FreeFormInference, StartingPoint, n_draws_for_latent_dim};
use crate::ascent::{
    Objective, PhaseSchedule, SearchState, averaged_newton_phase, best_step_rule_for_family,
};
use crate::family::{DiagonalGaussian, FullGaussian, VariationalFamily};
use crate::held_out::state_losses;
use crate::inference::{InferError, StopReason};
use gap_data::Batch;
use gap_model::LatentVariableModel;
use gap_torch::SeedKey;

impl FreeFormInference<'_> {
    /// Finds `q*` in a family other than the diagonal Gaussian.
    pub(super) fn search_from_smaller_family(
        &self,
        starts: &[Vec<Vec<f64>>],
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<FreeFormFit, InferError> {
        let dim = model.latent_dim();
        let (diagonal, full) = (DiagonalGaussian::new(dim), FullGaussian::new(dim));
        let is_full = self.family.as_full_gaussian().is_some();
        let smaller: &dyn VariationalFamily = if is_full { &diagonal } else { &full };
        let n_within = smaller.param_dim() as usize;
        let within = |row: &Vec<f64>| row[..n_within].to_vec();
        let starts_within = starts.iter().map(|rows| rows.iter().map(within).collect());
        let search_within = FreeFormInference {
            family: smaller,
            starts: self.starts.clone(),
            search: self.search.clone(),
            ..*self
        };
        let fit = search_within.search_from_params(starts_within.collect(), model, batch, key)?;
        let mut objective = Objective::for_family(
            self.family,
            best_step_rule_for_family(self.family),
            model,
            batch.x(),
        )?;
        let (mut states, won_by) = self.choose_better_starts(&mut objective, &fit, starts, key)?;
        let ids = batch.ids();
        let stops = if is_full {
            let n_samples = 2 * n_draws_for_latent_dim(objective.latent_dim());
            let first =
                averaged_newton_phase(n_samples, self.ascent_tolerance_nats(), self.max_steps);
            let schedule = PhaseSchedule {
                phases: vec![first],
            };
            let all: Vec<usize> = (0..batch.len()).collect();
            run_and_revert_if_worse(&schedule, &mut objective, &all, &mut states, ids, key)?;
            self.certify_or_resume(&mut objective, &mut states, ids, key)?
        } else {
            self.ascend_in_rounds(&mut objective, &mut states, ids, MAX_ROUNDS, key)?
        };
        Ok(FreeFormFit {
            fitted: fitted_batch_from_states(&states, stops, model),
            won_by,
            // The ascent in this family had one start; how far apart endpoints were in the smaller family
            // does not matter for it.
            starts_apart_nats: vec![None; batch.len()],
        })
    }

    /// Returns, for each datapoint, the result in the smaller family, or the encoder's output if that is
    /// better. Also returns the index in `self.starts` of the starting point that led to this choice.
    fn choose_better_starts(
        &self,
        objective: &mut Objective,
        within: &FreeFormFit,
        starts: &[Vec<Vec<f64>>],
        key: SeedKey,
    ) -> Result<(Vec<SearchState>, Vec<usize>), InferError> {
        let smaller_params = within.fitted.params.to_rows();
        let costs = within.fitted.stops.iter().zip(&within.fitted.costs);
        let ends = smaller_params
            .iter()
            .zip(costs)
            .map(|(params, (stop, cost))| {
                let (steps, failed_at) = match *stop {
                    StopReason::NonFinite { step } => (step, Some(step)),
                    StopReason::Direct { steps }
                    | StopReason::Converged { steps, .. }
                    | StopReason::BudgetSpent { steps, .. } => (steps, None),
                };
                SearchState {
                    steps,
                    steps_left: self.max_steps.saturating_sub(steps),
                    joint_gradients: cost.joint_gradients,
                    seconds: cost.seconds,
                    failed_at,
                    ..SearchState::starting_at(self.family.embed_smaller_family(params))
                }
            });
        let mut candidates: Vec<Vec<SearchState>> = vec![ends.collect()];
        let mut start_of_candidate = vec![None];
        for (i, (start, rows)) in self.starts.iter().zip(starts).enumerate() {
            if matches!(start, StartingPoint::Encoder(_)) {
                let candidate = |row: &Vec<f64>| SearchState::with_budget(row.clone(), 0);
                candidates.push(rows.iter().map(candidate).collect());
                start_of_candidate.push(Some(i));
            }
        }
        let all: Vec<usize> = (0..smaller_params.len()).collect();
        let choices =
            compare_all_ends(objective, &mut candidates, &all, key.for_role("selection"))?;
        let best_ends = choices.iter().enumerate().map(|(row, choice)| {
            let own: Vec<&SearchState> = candidates.iter().map(|end| &end[row]).collect();
            best_end_with_total_cost(&own, choice.best, false)
        });
        let won_by = choices.iter().zip(&within.won_by);
        let won_by =
            won_by.map(|(choice, within)| start_of_candidate[choice.best].unwrap_or(*within));
        Ok((best_ends.collect(), won_by.collect()))
    }
}

/// Runs `schedule`, and restores the parameters of every state whose ELBO fell.
pub fn run_and_revert_if_worse(
    schedule: &PhaseSchedule,
    objective: &mut Objective,
    rows: &[usize],
    states: &mut [SearchState],
    ids: &[u64],
    key: SeedKey,
) -> Result<(), InferError> {
    let selection = key.for_role("selection");
    let compared = |states: &mut [SearchState], objective: &mut Objective| {
        state_losses(objective, states, rows, N_SELECTION_DRAWS, selection)
    };
    let before = compared(states, objective)?;
    let starts: Vec<Vec<f64>> = rows.iter().map(|&row| states[row].params.clone()).collect();
    schedule.run(objective, rows, states, ids, key, &mut |_| ())?;
    let after = compared(states, objective)?;
    for (i, (&row, start)) in rows.iter().zip(starts).enumerate() {
        // The comparison is false for NaN, so such a state is restored too.
        let is_better = after[i] <= before[i];
        if !is_better {
            states[row].params = start;
        }
    }
    Ok(())
}
