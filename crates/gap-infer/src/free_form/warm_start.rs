//! The search in families that contain a smaller one. It starts from each optimum that was found in the smaller
//! family, and does not end below it, up to the noise of the comparison. A mixture also starts with its
//! components at all of these optima, and every family from the output of an encoder of this family.

use super::best_end::{
    FoundOptima, N_SELECTION_DRAWS, best_end_with_total_cost, fitted_batch_from_states,
};
use super::census::OptimaCensus;
use super::rounds::MAX_ROUNDS;
use super::{FitWithOptima, FreeFormFit, FreeFormInference, StartingPoint, n_draws_for_latent_dim};
use crate::ascent::{
    Objective, PhaseSchedule, SearchState, averaged_newton_phase, best_step_rule_for_family,
};
use crate::family::{DiagonalGaussian, FullGaussian, VariationalFamily};
use crate::held_out::state_losses;
use crate::inference::{InferError, StopReason};
use gap_data::Batch;
use gap_model::LatentVariableModel;
use gap_torch::SeedKey;

/// A datapoint with several candidates continues from the best of them after this many rounds from each.
const ROUNDS_BEFORE_CHOICE: u32 = 1;

/// Points that ascents in the larger family start from: for each candidate, the states of all datapoints, and
/// the datapoints that have this candidate.
struct Candidates {
    states: Vec<Vec<SearchState>>,
    rows: Vec<Vec<usize>>,
    /// For each datapoint, the candidate that each start led to.
    of_start: Vec<Vec<Option<usize>>>,
}

impl Candidates {
    fn n_of_row(&self, row: usize) -> usize {
        self.rows.iter().filter(|rows| rows.contains(&row)).count()
    }
}

impl FreeFormInference<'_> {
    /// Finds `q*` in a family other than the diagonal Gaussian.
    pub(super) fn search_from_smaller_family(
        &self,
        starts: &[Vec<Vec<f64>>],
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<FitWithOptima, InferError> {
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
        let found = search_within.search_from_params(starts_within.collect(), model, batch, key)?;
        let mut objective = Objective::for_family(
            self.family,
            best_step_rule_for_family(self.family),
            model,
            batch.x(),
        )?;
        let mut candidates = self.candidates(&found, starts);
        let ids = batch.ids();
        let mut first_stops = Vec::with_capacity(candidates.states.len());
        let several: Vec<bool> = (0..batch.len())
            .map(|row| candidates.n_of_row(row) > 1)
            .collect();
        for (candidate, (states, rows)) in candidates
            .states
            .iter_mut()
            .zip(&candidates.rows)
            .enumerate()
        {
            let key = match candidate {
                0 => key,
                _ => key.for_role("candidate").for_index(candidate as u64),
            };
            if is_full {
                self.ascend_full_gaussian(&mut objective, states, (rows, ids), key)?;
                continue;
            }
            let (shared, alone): (Vec<usize>, Vec<usize>) =
                rows.iter().partition(|&&row| several[row]);
            let mut stops =
                self.ascend_in_rounds(&mut objective, states, (&alone, ids), 0..MAX_ROUNDS, key)?;
            let first_rounds = 0..ROUNDS_BEFORE_CHOICE;
            let of_shared =
                self.ascend_in_rounds(&mut objective, states, (&shared, ids), first_rounds, key)?;
            for row in shared {
                stops[row] = of_shared[row];
            }
            first_stops.push(stops);
        }
        let (mut states, best, optima) = self.choose_best_ends(&mut objective, candidates, key)?;
        let stops = if is_full {
            self.certify_or_resume(&mut objective, &mut states, ids, key)?
        } else {
            let mut stops: Vec<StopReason> = best
                .iter()
                .enumerate()
                .map(|(row, &candidate)| first_stops[candidate][row])
                .collect();
            let unfinished: Vec<usize> = (0..states.len())
                .filter(|&row| several[row] && matches!(stops[row], StopReason::BudgetSpent { .. }))
                .collect();
            let more = self.ascend_in_rounds(
                &mut objective,
                &mut states,
                (&unfinished, ids),
                ROUNDS_BEFORE_CHOICE..MAX_ROUNDS,
                key,
            )?;
            for row in unfinished {
                stops[row] = more[row];
            }
            // The stop reasons were those of one candidate; the steps are those of all.
            for (stop, state) in stops.iter_mut().zip(&states) {
                if let StopReason::Converged { steps, .. } | StopReason::BudgetSpent { steps, .. } =
                    stop
                {
                    *steps = state.steps;
                }
            }
            stops
        };
        let won_by = best.iter().enumerate().map(|(row, &candidate)| {
            let of_start = &optima.of_start[row];
            // The start that won within the smaller family, if it is one of those that led to this candidate.
            let within = found.fit.won_by[row];
            if of_start[within] == Some(candidate) {
                return within;
            }
            let first = of_start.iter().position(|&of| of == Some(candidate));
            first.unwrap_or(within)
        });
        let fit = FreeFormFit {
            fitted: fitted_batch_from_states(&states, stops, model),
            won_by: won_by.collect(),
            // Starts that led to the same optimum of the smaller family had one ascent in this family.
            starts_apart_nats: vec![None; batch.len()],
            optima: Vec::new(),
        };
        Ok(FitWithOptima {
            fit,
            optima: optima.found,
        })
    }

    /// Runs averaged Newton steps on `rows`, none of which ends below its start.
    fn ascend_full_gaussian(
        &self,
        objective: &mut Objective,
        states: &mut [SearchState],
        (rows, ids): (&[usize], &[u64]),
        key: SeedKey,
    ) -> Result<(), InferError> {
        let n_samples = 2 * n_draws_for_latent_dim(objective.latent_dim());
        let first = averaged_newton_phase(n_samples, self.ascent_tolerance_nats(), self.max_steps);
        let schedule = PhaseSchedule {
            phases: vec![first],
        };
        run_and_revert_if_worse(&schedule, objective, rows, states, ids, key)
    }

    /// Returns the points that ascents in this family start from. The costs of the search in the smaller family
    /// are those of candidate 0, and the candidates of a datapoint share what is left of its steps.
    fn candidates(&self, within: &FitWithOptima, starts: &[Vec<Vec<f64>>]) -> Candidates {
        let smaller_params = within.fit.fitted.params.to_rows();
        let n_rows = smaller_params.len();
        let own_encoder = |start: &StartingPoint| match start {
            StartingPoint::Encoder(encoder) => encoder.param_dim() == self.family.param_dim(),
            StartingPoint::Prior | StartingPoint::Random { .. } => false,
        };
        let mut of_rows: Vec<Vec<Vec<f64>>> = Vec::with_capacity(n_rows);
        let mut of_start = Vec::with_capacity(n_rows);
        for (row, best) in smaller_params.iter().enumerate() {
            let mut own = vec![self.family.embed_smaller_family(best)];
            let found = within.optima[row].as_ref();
            let others = found.map_or(&[][..], |found| &found.others);
            let embedded = others
                .iter()
                .map(|(params, _)| self.family.embed_smaller_family(params));
            own.extend(embedded);
            if !others.is_empty() {
                let best = (best.clone(), 0.0);
                let all: Vec<&(Vec<f64>, f64)> = std::iter::once(&best).chain(others).collect();
                own.extend(self.family.embed_several_gaussians(&all));
            }
            let candidate_of_start = self.starts.iter().enumerate().map(|(start, point)| {
                if own_encoder(point) {
                    own.push(starts[start][row].clone());
                    return Some(own.len() - 1);
                }
                found.map_or(Some(0), |found| found.census.optimum_of_start[start])
            });
            of_start.push(candidate_of_start.collect());
            of_rows.push(own);
        }
        let most = of_rows.iter().map(Vec::len).max().unwrap_or(0);
        let fit = &within.fit.fitted;
        let state = |row: usize, candidate: usize| {
            let (steps, failed_at) = match fit.stops[row] {
                StopReason::NonFinite { step } => (step, Some(step)),
                StopReason::Direct { steps }
                | StopReason::Converged { steps, .. }
                | StopReason::BudgetSpent { steps, .. } => (steps, None),
            };
            let n = of_rows[row].len() as u32;
            let left = self.max_steps.saturating_sub(steps);
            let params = of_rows[row].get(candidate).unwrap_or(&of_rows[row][0]);
            let fresh = SearchState::with_budget(
                params.clone(),
                left / n + u32::from((candidate as u32) < left % n),
            );
            match candidate {
                0 => SearchState {
                    steps,
                    joint_gradients: fit.costs[row].joint_gradients,
                    seconds: fit.costs[row].seconds,
                    failed_at,
                    ..fresh
                },
                _ => fresh,
            }
        };
        Candidates {
            states: (0..most)
                .map(|candidate| (0..n_rows).map(|row| state(row, candidate)).collect())
                .collect(),
            rows: (0..most)
                .map(|candidate| {
                    let has_it = |&row: &usize| candidate < of_rows[row].len();
                    (0..n_rows).filter(has_it).collect()
                })
                .collect(),
            of_start,
        }
    }

    /// Returns the best end of each datapoint with the cost of all, the number of its candidate, and the optima
    /// that the ends are at.
    fn choose_best_ends(
        &self,
        objective: &mut Objective,
        mut candidates: Candidates,
        key: SeedKey,
    ) -> Result<(Vec<SearchState>, Vec<usize>, OptimaOfStarts), InferError> {
        let n_rows = candidates.of_start.len();
        let n_candidates = candidates.states.len();
        let mut best = vec![0; n_rows];
        let mut found: Vec<Option<FoundOptima>> = vec![None; n_rows];
        let several: Vec<usize> = candidates.rows.get(1).cloned().unwrap_or_default();
        let mut losses = vec![vec![f64::NAN; n_candidates]; n_rows];
        let selection = key.for_role("selection");
        let states_and_rows = candidates.states.iter_mut().zip(&candidates.rows);
        for (candidate, (states, rows)) in states_and_rows.enumerate() {
            let rows: Vec<usize> = several
                .iter()
                .copied()
                .filter(|row| rows.contains(row))
                .collect();
            let values = state_losses(objective, states, &rows, N_SELECTION_DRAWS, selection)?;
            for (&row, value) in rows.iter().zip(values) {
                losses[row][candidate] = value;
            }
        }
        let of_several: Vec<Vec<f64>> = several.iter().map(|&row| losses[row].clone()).collect();
        let ends = &mut candidates.states;
        let census_key = key.for_role("census");
        let censuses = self.find_optima(objective, ends, (&several, &of_several), census_key)?;
        for (&row, optima) in several.iter().zip(censuses) {
            best[row] = optima
                .census
                .starts_by_optimum()
                .first()
                .copied()
                .unwrap_or(0);
            found[row] = Some(optima);
        }
        let states = (0..n_rows).map(|row| {
            let own: Vec<&SearchState> = (0..n_candidates)
                .filter(|&candidate| candidate == 0 || losses[row][candidate].is_finite())
                .map(|candidate| &candidates.states[candidate][row])
                .collect();
            let position = (0..best[row])
                .filter(|&candidate| candidate == 0 || losses[row][candidate].is_finite())
                .count();
            best_end_with_total_cost(&own, position, false)
        });
        let states = states.collect();
        // The census was of candidates; a start led to the optimum of its candidate.
        for (row, of_start) in candidates.of_start.iter().enumerate() {
            if self.starts.len() < 2 {
                found[row] = None;
                continue;
            }
            let census = match &found[row] {
                Some(found) => found.census.of_starts(of_start),
                None => OptimaCensus::of_one_optimum(of_start),
            };
            let others = found[row]
                .take()
                .map_or_else(Vec::new, |found| found.others);
            found[row] = Some(FoundOptima { census, others });
        }
        let of_start = candidates.of_start;
        Ok((states, best, OptimaOfStarts { of_start, found }))
    }
}

/// For each datapoint, the candidate that each start led to, and the optima.
struct OptimaOfStarts {
    of_start: Vec<Vec<Option<usize>>>,
    found: Vec<Option<FoundOptima>>,
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
