//! Free-form inference: each datapoint has an ascent of its own, which runs until a bound on its distance to
//! the optimum (the certificate) is below the tolerance.
//!
//! The search in a larger family starts from the result in a smaller one: the diagonal Gaussian starts from
//! each starting point, the full Gaussian from the diagonal one's best endpoint, and every other family from
//! the full Gaussian's result (`warm_start.rs`).

mod best_end;
mod census;
mod rounds;
mod warm_start;

use crate::ascent::{
    FamilyKind, Objective, PhaseSchedule, SearchState, averaged_newton_phase,
    best_step_rule_for_family, n_draws_for_latent_dim,
};
use crate::certificate;
use crate::encoder::{Encode, encoded_params};
use crate::family::{FullGaussian, VariationalFamily, VariationalParams};
use crate::inference::{FittedBatch, InferError, Inference, StopReason};
use crate::remaining::Remaining;
use best_end::{
    BestEnds, FoundOptima, best_end_with_total_cost, compare_all_ends, fitted_batch_from_states,
    stop_of_failed_state,
};
use gap_data::Batch;
use gap_model::LatentVariableModel;
use gap_spec::{FreeFormSpec, Precision, Protocol, StepRule};
use gap_torch::{SeedKey, sobol_normal_points};
use std::time::Instant;
use warm_start::run_and_revert_if_worse;

pub use census::OptimaCensus;

/// Where an ascent starts.
#[derive(Clone, Copy)]
pub enum StartingPoint<'a> {
    /// The standard normal.
    Prior,
    /// The output of an encoder.
    Encoder(&'a dyn Encode),
    /// A mean drawn from the standard normal, the same for all datapoints, with a small standard deviation, so
    /// that the ascent goes to the nearest optimum.
    Random {
        /// The key of a Sobol sequence, whose points are spread more evenly than independent ones.
        key: SeedKey,
        /// The number of the point in that sequence, from 0.
        index: u32,
    },
}

/// The standard deviation of `q` at [`StartingPoint::Random`].
const RANDOM_START_STD: f64 = 0.2;

impl StartingPoint<'_> {
    /// Returns the parameters that each datapoint of `batch` starts from. If the encoder is of a smaller
    /// family, its output is embedded in `family`, where it has the same `q`.
    ///
    /// # Errors
    ///
    /// [`InferError`] if the encoder fails, or its output is no `λ` of `family` or of a Gaussian.
    pub fn params(
        self,
        family: &dyn VariationalFamily,
        batch: &Batch,
    ) -> Result<VariationalParams, InferError> {
        let device = batch.x().device();
        Ok(match self {
            Self::Prior => family.standard_normal_params(batch.len() as i64, device),
            Self::Random { key, index } => {
                let dim = family.latent_dim() as usize;
                let mean = sobol_normal_points(key, index..index + 1, dim);
                let mean = mean.iter().map(|&m| f64::from(m));
                let log_std = std::iter::repeat_n(RANDOM_START_STD.ln(), dim);
                let row = family.embed_smaller_family(&mean.chain(log_std).collect::<Vec<f64>>());
                VariationalParams::from_rows(&vec![row.as_slice(); batch.len()], device)
            }
            Self::Encoder(encoder) => {
                let (own, dim) = (family.param_dim(), family.latent_dim());
                let lengths = [own, 2 * dim, FullGaussian::new(dim).param_dim()];
                let params = encoded_params(encoder, &lengths, batch.x())?;
                if params.0.size()[1] == own {
                    return Ok(params);
                }
                let rows = params.to_rows().into_iter();
                let rows: Vec<Vec<f64>> =
                    rows.map(|row| family.embed_smaller_family(&row)).collect();
                let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
                VariationalParams::from_rows(&rows, device)
            }
        })
    }
}

/// What a search does when its schedule is done.
#[derive(Clone, Debug, PartialEq)]
pub enum SearchMode {
    /// Nothing: the schedule's result is certified and returned.
    Once(PhaseSchedule),
    /// For the diagonal Gaussian: after [`PhaseSchedule::default_for_latent_dim`], averaged Newton steps
    /// until the certificate is below the tolerance, with twice the draws in each round. Other families start
    /// from the result in a smaller family, and take the steps that are best for them.
    UntilCertified,
}

impl SearchMode {
    /// Returns the mode for `protocol`. A published protocol takes at most `max_steps` steps from each start.
    pub fn new(protocol: Protocol, max_steps: u32) -> Self {
        match protocol {
            Protocol::Default => Self::UntilCertified,
            Protocol::AdamCremer2018 => Self::Once(PhaseSchedule::adam_cremer_2018(max_steps)),
        }
    }
}

/// Runs an ascent for each datapoint from each start, keeps the best endpoint, and bounds its remaining
/// distance to the optimum (the certificate).
pub struct FreeFormInference<'a> {
    /// The variational family.
    pub family: &'a dyn VariationalFamily,
    /// The starting points. With several, the best endpoint of each datapoint is kept.
    pub starts: Vec<StartingPoint<'a>>,
    /// How the ascent is run.
    pub search: SearchMode,
    /// A datapoint has converged when the bound on its remaining distance is below this, nats.
    pub tolerance_nats: f64,
    /// The most evaluations of a datapoint, over all starts, and over the smaller families that a search begins
    /// with. Certificates and comparisons on held-out draws are not among them.
    pub max_steps: u32,
    /// The precision of the matrix products in gradients, in the diagonal Gaussian's schedule under
    /// [`SearchMode::UntilCertified`]. Later rounds, certificates and other families use full precision.
    pub precision: Precision,
}

/// The result of a search, and the start that led to it, for each datapoint.
#[derive(Debug)]
pub struct FreeFormFit {
    /// `q*` of each datapoint. Its cost includes the ascents from all starts.
    pub fitted: FittedBatch,
    /// For each datapoint, the index into [`FreeFormInference::starts`] of the start whose endpoint was best.
    pub won_by: Vec<usize>,
    /// For each datapoint, how far the ELBO of the worst endpoint is below that of the best, nats. NaN if a
    /// start failed; `None` with one start, and for a family whose search starts from the result in a smaller
    /// family.
    pub starts_apart_nats: Vec<Option<f64>>,
    /// For each datapoint, the optima that its starts led to; `None` with one start.
    pub optima: Vec<Option<OptimaCensus>>,
}

/// A [`FreeFormFit`] with the optima that were not the best.
struct FitWithOptima {
    fit: FreeFormFit,
    optima: Vec<Option<FoundOptima>>,
}

impl FitWithOptima {
    fn into_fit(mut self) -> FreeFormFit {
        let optima = self.optima.into_iter();
        self.fit.optima = optima.map(|found| Some(found?.census)).collect();
        self.fit
    }
}

impl<'a> FreeFormInference<'a> {
    /// Creates the search that `settings` describe. `starts` are the starting points that they name, with
    /// their encoders.
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
            precision: settings.precision(),
        }
    }

    /// Returns `q*` for each datapoint, from the best of the starts.
    pub fn search(
        &self,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<FreeFormFit, InferError> {
        let starts = self.starts.iter();
        let starts = starts.map(|start| Ok(start.params(self.family, batch)?.to_rows()));
        let starts = starts.collect::<Result<Vec<_>, InferError>>()?;
        let found = self.search_from_params(starts, model, batch, key)?;
        Ok(found.into_fit())
    }

    /// Searches from given parameters: for each start, the `λ` of every datapoint.
    fn search_from_params(
        &self,
        starts: Vec<Vec<Vec<f64>>>,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<FitWithOptima, InferError> {
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

    /// Runs `schedule` from all starts, and certifies the best endpoint of each datapoint.
    fn ascend_and_certify(
        &self,
        schedule: &PhaseSchedule,
        starts: Vec<Vec<Vec<f64>>>,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<FitWithOptima, InferError> {
        let rule = schedule
            .phases
            .first()
            .map_or(StepRule::AveragedNewton, |p| p.rule);
        let mut objective = Objective::for_family(self.family, rule, model, batch.x())?;
        let rows: Vec<usize> = (0..batch.len()).collect();
        let mut ends: Vec<Vec<SearchState>> = Vec::with_capacity(starts.len());
        let n_starts = starts.len() as u32;
        for (i, params) in starts.into_iter().enumerate() {
            // The starts share the budget, the first ones with what is left over.
            let budget =
                self.max_steps / n_starts + u32::from((i as u32) < self.max_steps % n_starts);
            let mut states: Vec<SearchState> = params
                .into_iter()
                .map(|params| SearchState::with_budget(params, budget))
                .collect();
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
        // A full Gaussian that ascended by Adam is still certified by its curvature.
        let best = best_step_rule_for_family(self.family);
        if best != rule && matches!(objective.family_kind(), FamilyKind::Any(_)) {
            objective = Objective::for_family(self.family, best, model, batch.x())?;
        }
        let ids = batch.ids();
        let stops = match objective.family_kind() {
            FamilyKind::Any(_) => {
                let mut stops: Vec<StopReason> = states.iter().map(stop_of_failed_state).collect();
                let sound: Vec<usize> = (0..states.len())
                    .filter(|&row| states[row].failed_at.is_none())
                    .collect();
                let remaining =
                    self.certify_by_a_round(&mut objective, &mut states, (&sound, ids), key)?;
                for (&row, remaining) in sound.iter().zip(remaining) {
                    stops[row] = self.stop_from_remaining(&mut states[row], remaining);
                }
                stops
            }
            FamilyKind::Diagonal | FamilyKind::Full(_) => {
                self.certify_or_resume(&mut objective, &mut states, ids, key)?
            }
        };
        let fit = FreeFormFit {
            fitted: fitted_batch_from_states(&states, stops, model),
            won_by: best_ends.won_by,
            starts_apart_nats: best_ends.apart_nats,
            optima: Vec::new(),
        };
        Ok(FitWithOptima {
            fit,
            optima: best_ends.optima,
        })
    }

    /// Estimates how far given `q`s are from the optimum, without moving them: by their curvature if the family
    /// is Gaussian, and otherwise by a round of ascents from them.
    ///
    /// # Errors
    ///
    /// [`InferError::Model`] if sizes do not fit.
    pub fn certify(
        &self,
        params: &VariationalParams,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<Vec<Remaining>, InferError> {
        let rule = best_step_rule_for_family(self.family);
        let mut objective = Objective::for_family(self.family, rule, model, batch.x())?;
        let params = params.to_rows().into_iter();
        let mut states: Vec<SearchState> = params.map(SearchState::starting_at).collect();
        let rows: Vec<usize> = (0..states.len()).collect();
        if matches!(objective.family_kind(), FamilyKind::Any(_)) {
            return self.certify_by_a_round(&mut objective, &mut states, (&rows, batch.ids()), key);
        }
        certify_and_charge_rows(&mut objective, &rows, &mut states, 0, key)
    }

    /// The ascent stops when its own estimate of the remaining gain is below this, nats.
    fn ascent_tolerance_nats(&self) -> f64 {
        ASCENT_TOLERANCE_FRACTION * self.tolerance_nats
    }

    /// Returns the best endpoint of each datapoint.
    ///
    /// Where the endpoints of several starts differ, all are first ascended further, since an ascent may only
    /// have been slow, and not lead to another optimum. Where they agree, the result is their mean, which is
    /// closer to the optimum than any of them because their draws were independent. Under [`SearchMode::Once`]
    /// neither is done.
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
        let mut optima = vec![None; ids.len()];
        if ends.len() > 1 {
            let losses: Vec<Vec<f64>> = choices.iter().map(|c| c.losses.clone()).collect();
            let found = self.find_optima(
                objective,
                &mut ends,
                (&all, &losses),
                key.for_role("census"),
            )?;
            optima = found.into_iter().map(Some).collect();
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
            optima,
        })
    }

    /// Counts the optima among the ends of each of `rows`, whose losses are given.
    fn find_optima(
        &self,
        objective: &mut Objective,
        ends: &mut [Vec<SearchState>],
        (rows, losses): (&[usize], &[Vec<f64>]),
        key: SeedKey,
    ) -> Result<Vec<FoundOptima>, InferError> {
        let (family, tolerance) = (self.family, self.tolerance_nats);
        let censuses =
            census::count_optima(objective, family, ends, (rows, losses), tolerance, key)?;
        let with_params = censuses.into_iter().zip(rows.iter().zip(losses));
        let found = with_params.map(|(census, (&row, losses))| {
            let best = census.starts_by_optimum();
            let others = best.iter().skip(1);
            let others = others.map(|&start| {
                let below = losses[start] - losses[best[0]];
                (ends[start][row].params.clone(), below)
            });
            FoundOptima {
                others: others.collect(),
                census,
            }
        });
        Ok(found.collect())
    }

    /// Certifies every state. States that are still far from the optimum ascend further. They, and those
    /// whose bound is merely too wide, are then certified again on twice the draws.
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
            // No state ascends after its last certificate, which must be that of the `q` that is returned.
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

    /// Takes averaged Newton steps. Each round uses twice the draws and half the tolerance of the round before.
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

/// An ascent stops when its own estimate of the remaining gain is below this fraction of the tolerance.
pub const ASCENT_TOLERANCE_FRACTION: f64 = 0.05;

/// The most steps of a round. `max_steps` is checked only between rounds.
const MAX_STEPS_PER_ROUND: u32 = 50;

/// The most certificates of one datapoint, each on twice the draws of the one before.
const MAX_CERTIFICATES_PER_DATAPOINT: u32 = 5;

/// The most rounds of further ascent for endpoints of several starts that differ.
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
