//! The loop over the datapoints of an ascent that are not done yet.

use super::draws::DrawSource;
use super::evaluation::EvaluationRequest;
use super::objective::Objective;
use super::rules::{evaluation_request_for_rule, new_stepper};
use super::schedule::PhaseSchedule;
use super::stepper::{StepOutcome, Stepper};
use super::stopping::StoppingState;
use crate::inference::InferError;
use gap_spec::Phase;
use gap_torch::SeedKey;
use std::time::Instant;

/// The state of one datapoint's ascent.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchState {
    /// The variational parameters `λ`.
    pub params: Vec<f64>,
    /// Evaluations so far.
    pub steps: u32,
    /// How many more there may be.
    pub steps_left: u32,
    /// Gradients of `log p(x, z)` so far: one for each draw of each evaluation.
    pub joint_gradients: u64,
    /// Its share of the wall time so far, seconds.
    pub seconds: f64,
    /// The number of the evaluation, counted from 1, that was not finite, if there was one.
    pub failed_at: Option<u32>,
    /// Whether its last phase ended by the phase's stopping rule, or because no step that would gain was found.
    pub stopped: bool,
}

impl SearchState {
    /// The state of an ascent from `params` before its first evaluation, which only its phases limit.
    pub const fn starting_at(params: Vec<f64>) -> Self {
        Self::with_budget(params, u32::MAX)
    }

    /// The state of an ascent from `params` that takes at most this many evaluations, over all its phases.
    pub const fn with_budget(params: Vec<f64>, steps_left: u32) -> Self {
        Self {
            params,
            steps: 0,
            steps_left,
            joint_gradients: 0,
            seconds: 0.0,
            failed_at: None,
            stopped: false,
        }
    }

    /// `KL(q_other ‖ q_self)` to second order, nats: the loss from using the `q` of `other` if the posterior
    /// were the `q` of this state. Both must be diagonal Gaussians.
    pub(crate) fn second_order_kl_nats(&self, other: &Self) -> f64 {
        let (a, b) = (&self.params, &other.params);
        let dim = a.len() / 2;
        (0..dim)
            .map(|i| {
                let shift = (a[i] - b[i]) / a[dim + i].exp();
                0.5 * shift.powi(2) + (a[dim + i] - b[dim + i]).powi(2)
            })
            .sum()
    }
}

/// A callback that is given the states of all datapoints after each round of evaluations. Its time is not
/// counted.
pub type AscentObserver<'a> = dyn FnMut(&[SearchState]) + 'a;

/// Runs `phase` on the states at the positions `rows` of the objective's batch; `states` and `ids` are those of
/// the whole batch.
///
/// States that failed before are skipped. If an evaluation is not finite, the state fails, and keeps the
/// parameters that it had before that evaluation.
///
/// # Errors
///
/// [`InferError::Model`] if sizes do not fit.
pub fn run_phase(
    objective: &mut Objective,
    phase: &Phase,
    rows: &[usize],
    states: &mut [SearchState],
    ids: &[u64],
    key: SeedKey,
    observer: &mut AscentObserver,
) -> Result<(), InferError> {
    let mut clock = Instant::now();
    let by_rule = evaluation_request_for_rule(phase.rule);
    let asked = EvaluationRequest {
        loss: by_rule.loss || phase.stopping.reads_loss(),
        precision: phase.precision,
        ..by_rule
    };
    let form = objective.family_kind();
    let mut source = DrawSource::new(
        phase.noise,
        phase.n_samples as usize,
        objective.draw_space(),
        key,
    );
    let mut active: Vec<ActiveSearch> = rows
        .iter()
        .filter(|&&row| states[row].failed_at.is_none() && states[row].steps_left > 0)
        .map(|&row| ActiveSearch {
            row,
            stepper: new_stepper(phase, form, states[row].params.clone()),
            stopping: StoppingState::new(phase),
        })
        .collect();
    for active in &active {
        states[active.row].stopped = false;
    }
    for step in 0..phase.max_steps {
        if active.is_empty() {
            break;
        }
        let active_rows: Vec<usize> = active.iter().map(|a| a.row).collect();
        let active_ids: Vec<u64> = active_rows.iter().map(|&row| ids[row]).collect();
        let draws = source.draws_at_step(step, &active_ids);
        let trials: Vec<&[f64]> = active
            .iter()
            .map(|a| a.stepper.params_to_evaluate())
            .collect();
        let evaluations = objective.evaluate(&active_rows, &trials, draws, asked)?;
        let mut evaluations = evaluations.into_iter();
        active.retain_mut(|active| {
            let evaluation = evaluations.next().expect("one evaluation for each row");
            let state = &mut states[active.row];
            state.steps += 1;
            state.steps_left -= 1;
            state.joint_gradients += draws.n_samples() as u64;
            if !evaluation.is_finite() {
                state.failed_at = Some(state.steps);
                return false;
            }
            let loss = evaluation.loss;
            let progress = active.stepper.update_with_evaluation(evaluation);
            state
                .params
                .copy_from_slice(active.stepper.current_solution());
            state.stopped =
                active
                    .stopping
                    .update_and_check_stopping(progress, loss, draws.n_samples());
            if state.stopped && progress != StepOutcome::Stuck {
                state
                    .params
                    .copy_from_slice(active.stepper.converged_solution());
            }
            !state.stopped && state.steps_left > 0
        });
        let share = clock.elapsed().as_secs_f64() / active_rows.len() as f64;
        for row in active_rows {
            states[row].seconds += share;
        }
        observer(states);
        clock = Instant::now();
    }
    Ok(())
}

impl PhaseSchedule {
    /// Runs all phases in turn with [`run_phase`], each with a key of its own.
    ///
    /// # Errors
    ///
    /// [`InferError::Model`] if sizes do not fit.
    pub fn run(
        &self,
        objective: &mut Objective,
        rows: &[usize],
        states: &mut [SearchState],
        ids: &[u64],
        key: SeedKey,
        observer: &mut AscentObserver,
    ) -> Result<(), InferError> {
        for (i, phase) in self.phases.iter().enumerate() {
            let key = key.for_role("phase").for_index(i as u64);
            run_phase(objective, phase, rows, states, ids, key, observer)?;
        }
        Ok(())
    }
}

struct ActiveSearch {
    row: usize,
    stepper: Box<dyn Stepper>,
    stopping: StoppingState,
}
