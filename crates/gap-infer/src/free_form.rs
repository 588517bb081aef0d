//! Free-form inference: an ascent of its own for each datapoint, until the certificate is content.
//!
//! A larger family starts where the one within it ended: the diagonal Gaussian from each start, from its
//! better end the full Gaussian, from there any other (`warm_start.rs`).

mod best_end;
mod rounds;
mod warm_start;

use crate::ascent::{
    FamilyKind, Objective, PhaseSchedule, SearchState, averaged_newton_phase,
    best_step_rule_for_family, n_draws_for_latent_dim,
};
use crate::certificate;
use crate::encoder::Encoder;
use crate::family::{VariationalFamily, VariationalParams};
use crate::inference::{FittedBatch, InferError, Inference, StopReason};
use crate::remaining::Remaining;
use best_end::{
    BestEnds, best_end_with_total_cost, compare_all_ends, fitted_batch_from_states,
    stop_of_failed_state,
};
use gap_data::Batch;
use gap_model::LatentVariableModel;
use gap_spec::{FreeFormSpec, Precision, Protocol, StepRule};
use gap_torch::SeedKey;
use std::time::Instant;
use warm_start::run_and_revert_if_worse;

/// Where an ascent starts.
#[derive(Clone, Copy)]
pub enum StartingPoint<'a> {
    /// The standard normal.
    Prior,
    /// The output of an encoder.
    Encoder(&'a Encoder),
}

impl StartingPoint<'_> {
    /// Where each datapoint of `batch` starts. What an encoder of diagonal Gaussians says is taken for the
    /// member of a larger family that it is.
    pub fn params(self, family: &dyn VariationalFamily, batch: &Batch) -> VariationalParams {
        let device = batch.x().device();
        match self {
            Self::Prior => family.standard_normal_params(batch.len() as i64, device),
            Self::Encoder(encoder) => {
                let params = encoder.encode(batch.x());
                if encoder.param_dim() == family.param_dim() {
                    return params;
                }
                let rows = params.to_rows().into_iter();
                let rows: Vec<Vec<f64>> =
                    rows.map(|row| family.embed_smaller_family(&row)).collect();
                let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
                VariationalParams::from_rows(&rows, device)
            }
        }
    }
}

/// How an ascent goes on after its schedule.
#[derive(Clone, Debug, PartialEq)]
pub enum SearchMode {
    /// The schedule's answer is final.
    Once(PhaseSchedule),
    /// [`PhaseSchedule::default_for_latent_dim`], and averaged Newton steps on twice the draws each round
    /// while the certificate is not content; for other families than the diagonal Gaussian, what goes furthest
    /// for them, from the end of the family within.
    UntilCertified,
}

impl SearchMode {
    /// That of a protocol; a published one ends after `max_steps` at the latest.
    pub fn new(protocol: Protocol, max_steps: u32) -> Self {
        match protocol {
            Protocol::Default => Self::UntilCertified,
            Protocol::AdamCremer2018 => Self::Once(PhaseSchedule::adam_cremer_2018(max_steps)),
        }
    }
}

/// An ascent for each datapoint from each start; the better end is kept, and certified.
pub struct FreeFormInference<'a> {
    /// The family.
    pub family: &'a dyn VariationalFamily,
    /// Where to start; with several, the better end is kept for each datapoint.
    pub starts: Vec<StartingPoint<'a>>,
    /// The ascent.
    pub search: SearchMode,
    /// A datapoint is done when the bound on its remaining distance is below, nats.
    pub tolerance_nats: f64,
    /// Evaluations, of all starts together, after which no new round begins; a larger family has as many
    /// again for itself.
    pub max_steps: u32,
    /// How exact the products of gradients are until the first certificate, where
    /// [`SearchMode::UntilCertified`]; from then on in full.
    pub precision: Precision,
}

/// The ends of an ascent, and which start led to each.
#[derive(Debug)]
pub struct FreeFormFit {
    /// `q*` of each datapoint; the cost is that of all starts.
    pub fitted: FittedBatch,
    /// The index into [`FreeFormInference::starts`] of the start that won.
    pub won_by: Vec<usize>,
    /// How far below the winner the worst other start ended, nats; NaN where a start failed, none
    /// with one start, or for a family whose ascent starts at the end of the one within it.
    pub starts_apart_nats: Vec<Option<f64>>,
}

impl<'a> FreeFormInference<'a> {
    /// The search that `settings` ask for, from `starts`: those that it names, with their encoders.
    pub fn new(
        family: &'a dyn VariationalFamily,
        starts: Vec<StartingPoint<'a>>,
        settings: &FreeFormSpec,
    ) -> Self {
        let max_steps = settings.max_steps.get();
        Self {
            family,
            starts,
            search: SearchMode::new(settings.protocol, max_steps),
            tolerance_nats: settings.tolerance_nats.get(),
            max_steps,
            precision: settings.precision,
        }
    }

    /// `q*` for each datapoint, from the better of the starts.
    ///
    /// # Errors
    ///
    /// [`InferError`] if sizes do not fit.
    pub fn search(
        &self,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<FreeFormFit, InferError> {
        let starts = self.starts.iter();
        let starts = starts.map(|start| start.params(self.family, batch).to_rows());
        self.search_from_params(starts.collect(), model, batch, key)
    }

    /// The same from a `λ` of each datapoint for each start.
    fn search_from_params(
        &self,
        starts: Vec<Vec<Vec<f64>>>,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<FreeFormFit, InferError> {
        match &self.search {
            SearchMode::UntilCertified if self.family.as_diagonal_gaussian().is_none() => {
                self.search_from_smaller_family(&starts, model, batch, key)
            }
            SearchMode::UntilCertified => {
                let dim = model.latent_dim() as usize;
                let schedule = PhaseSchedule::default_for_latent_dim(
                    dim,
                    self.ascent_tolerance_nats(),
                    self.max_steps,
                )
                .with_precision(self.precision);
                self.ascend_and_certify(&schedule, starts, model, batch, key)
            }
            SearchMode::Once(schedule) => {
                self.ascend_and_certify(schedule, starts, model, batch, key)
            }
        }
    }

    /// Ascends by `schedule` from all starts, and certifies the better ends.
    fn ascend_and_certify(
        &self,
        schedule: &PhaseSchedule,
        starts: Vec<Vec<Vec<f64>>>,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<FreeFormFit, InferError> {
        let rule = schedule
            .phases
            .first()
            .map_or(StepRule::AveragedNewton, |p| p.rule);
        let mut objective = Objective::for_family(self.family, rule, model, batch.x())?;
        let rows: Vec<usize> = (0..batch.len()).collect();
        let mut ends: Vec<Vec<SearchState>> = Vec::with_capacity(starts.len());
        for (i, params) in starts.into_iter().enumerate() {
            let mut states: Vec<SearchState> =
                params.into_iter().map(SearchState::starting_at).collect();
            let key = key.for_role("start").for_index(i as u64);
            schedule.run(
                &mut objective,
                &rows,
                &mut states,
                batch.ids(),
                key,
                &mut |_| (),
            )?;
            ends.push(states);
        }
        let best_ends = self.select_best_ends(&mut objective, ends, batch.ids(), key)?;
        let mut states = best_ends.best_states;
        // Certified by what is known of the family, whichever rule it ascended by.
        let best = best_step_rule_for_family(self.family);
        if best != rule && matches!(objective.family_kind(), FamilyKind::Any(_)) {
            objective = Objective::for_family(self.family, best, model, batch.x())?;
        }
        let ids = batch.ids();
        let stops = match objective.family_kind() {
            FamilyKind::Any(_) => {
                // A round says what there is to gain, and the schedule's answer stays.
                let answers: Vec<Vec<f64>> = states.iter().map(|c| c.params.clone()).collect();
                let stops = self.ascend_in_rounds(&mut objective, &mut states, ids, 1, key)?;
                for (state, answer) in states.iter_mut().zip(answers) {
                    state.params = answer;
                }
                stops
            }
            FamilyKind::Diagonal | FamilyKind::Full(_) => {
                self.certify_or_resume(&mut objective, &mut states, ids, key)?
            }
        };
        Ok(FreeFormFit {
            fitted: fitted_batch_from_states(&states, stops, model),
            won_by: best_ends.won_by,
            starts_apart_nats: best_ends.apart_nats,
        })
    }

    /// The ascent's own estimate is to fall this low before the certificate is asked, nats.
    fn ascent_tolerance_nats(&self) -> f64 {
        ASCENT_TOLERANCE_FRACTION * self.tolerance_nats
    }

    /// The better end of each datapoint. Where the ends of two starts are not one, both go on for a
    /// while first: an end that was only late is no other optimum. Where they are one, their mean is
    /// nearer to it than either, since their draws were independent.
    fn select_best_ends(
        &self,
        objective: &mut Objective,
        mut ends: Vec<Vec<SearchState>>,
        ids: &[u64],
        key: SeedKey,
    ) -> Result<BestEnds, InferError> {
        let selection = key.for_role("selection");
        let all: Vec<usize> = (0..ids.len()).collect();
        let mut choices = compare_all_ends(objective, &mut ends, &all, selection)?;
        for round in 0..MAX_ROUNDS_TO_MERGE_ENDS {
            let apart: Vec<usize> = (0..ids.len())
                .filter(|&row| {
                    choices[row]
                        .apart_nats
                        .is_some_and(|a| a > 0.5 * self.tolerance_nats)
                })
                .collect();
            if apart.is_empty() || matches!(self.search, SearchMode::Once(_)) {
                break;
            }
            for (i, states) in ends.iter_mut().enumerate() {
                let key = key.for_role("meet").for_index(i as u64);
                self.resume_on_more_draws(objective, &apart, states, ids, round, key)?;
            }
            let again = compare_all_ends(objective, &mut ends, &apart, selection)?;
            for (&row, choice) in apart.iter().zip(again) {
                choices[row] = choice;
            }
        }
        let best_states = choices.iter().enumerate().map(|(row, choice)| {
            let own: Vec<&SearchState> = ends.iter().map(|end| &end[row]).collect();
            let mean_counts = matches!(self.search, SearchMode::UntilCertified);
            best_end_with_total_cost(&own, choice.best, mean_counts)
        });
        Ok(BestEnds {
            best_states: best_states.collect(),
            won_by: choices.iter().map(|choice| choice.best).collect(),
            apart_nats: choices.iter().map(|choice| choice.apart_nats).collect(),
        })
    }

    /// Certifies every state. Those that are not there yet go on; those of which it is not known
    /// are certified on more draws.
    fn certify_or_resume(
        &self,
        objective: &mut Objective,
        states: &mut [SearchState],
        ids: &[u64],
        key: SeedKey,
    ) -> Result<Vec<StopReason>, InferError> {
        let mut stops: Vec<StopReason> = states.iter().map(stop_of_failed_state).collect();
        let mut rows: Vec<usize> = (0..states.len())
            .filter(|&row| states[row].failed_at.is_none())
            .collect();
        for round in 0..MAX_CERTIFICATES_PER_DATAPOINT {
            if rows.is_empty() {
                break;
            }
            let round_key = key.for_role("certificate").for_index(u64::from(round));
            let remaining = certify_and_charge_rows(objective, &rows, states, round, round_key)?;
            let mut open = Vec::new();
            let mut unfinished = Vec::new();
            for (&row, remaining) in rows.iter().zip(remaining) {
                stops[row] = self.stop_from_remaining(&mut states[row], remaining);
                let StopReason::BudgetSpent { steps, remaining } = stops[row] else {
                    continue;
                };
                if matches!(self.search, SearchMode::Once(_)) || steps >= self.max_steps {
                    continue;
                }
                open.push(row);
                if remaining.nats > 0.3 * self.tolerance_nats {
                    unfinished.push(row);
                }
            }
            // What goes on is certified again: a certificate is of the `q` that is returned.
            if round + 1 == MAX_CERTIFICATES_PER_DATAPOINT {
                break;
            }
            self.resume_on_more_draws(objective, &unfinished, states, ids, round, key)?;
            rows = open;
            rows.retain(|&row| match states[row].failed_at {
                Some(step) => {
                    stops[row] = StopReason::NonFinite { step };
                    false
                }
                None => true,
            });
        }
        Ok(stops)
    }

    fn stop_from_remaining(&self, state: &mut SearchState, remaining: Remaining) -> StopReason {
        let steps = state.steps;
        if !remaining.nats.is_finite() {
            state.failed_at = Some(steps);
            StopReason::NonFinite { step: steps }
        } else if remaining.upper_bound_nats() < self.tolerance_nats {
            StopReason::Converged { steps, remaining }
        } else {
            StopReason::BudgetSpent { steps, remaining }
        }
    }

    /// Averaged Newton steps on more draws and to a lower tolerance in each round.
    fn resume_on_more_draws(
        &self,
        objective: &mut Objective,
        rows: &[usize],
        states: &mut [SearchState],
        ids: &[u64],
        round: u32,
        key: SeedKey,
    ) -> Result<(), InferError> {
        let doublings = round + 1;
        let phase = averaged_newton_phase(
            (2 * n_draws_for_latent_dim(objective.latent_dim())) << doublings,
            self.ascent_tolerance_nats() / f64::from(1_u32 << doublings),
            MAX_STEPS_PER_ROUND,
        );
        let schedule = PhaseSchedule {
            phases: vec![phase],
        };
        let key = key.for_role("go on").for_index(u64::from(round));
        match objective.family_kind() {
            FamilyKind::Full(_) => {
                run_and_revert_if_worse(&schedule, objective, rows, states, ids, key)
            }
            FamilyKind::Diagonal | FamilyKind::Any(_) => {
                schedule.run(objective, rows, states, ids, key, &mut |_| ())
            }
        }
    }
}

/// The part of the tolerance that an ascent's own estimate is to fall below.
pub const ASCENT_TOLERANCE_FRACTION: f64 = 0.05;

/// The most steps of a round; a budget is looked at between rounds.
const MAX_STEPS_PER_ROUND: u32 = 50;

/// Certificates of one datapoint, each on twice the draws, before it is given up.
const MAX_CERTIFICATES_PER_DATAPOINT: u32 = 5;

/// Rounds in which the ends of two starts may come together.
const MAX_ROUNDS_TO_MERGE_ENDS: u32 = 2;

fn certify_and_charge_rows(
    objective: &mut Objective,
    rows: &[usize],
    states: &mut [SearchState],
    doublings: u32,
    key: SeedKey,
) -> Result<Vec<Remaining>, InferError> {
    let clock = Instant::now();
    let params: Vec<&[f64]> = rows
        .iter()
        .map(|&row| states[row].params.as_slice())
        .collect();
    let remaining = certificate::estimate_remaining_nats(objective, rows, &params, doublings, key)?;
    let share = clock.elapsed().as_secs_f64() / rows.len().max(1) as f64;
    for &row in rows {
        states[row].seconds += share;
        states[row].joint_gradients +=
            certificate::joint_gradients_per_certificate(objective, doublings);
    }
    Ok(remaining)
}

impl Inference for FreeFormInference<'_> {
    fn variational_family(&self) -> &dyn VariationalFamily {
        self.family
    }

    fn infer(
        &self,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<FittedBatch, InferError> {
        Ok(self.search(model, batch, key)?.fitted)
    }
}
