//! Compares the endpoints of several ascents of one datapoint: which is best, and whether all are at one
//! optimum.

use super::census::OptimaCensus;
use crate::ascent::{Objective, SearchState};
use crate::family::VariationalParams;
use crate::held_out::state_losses;
use crate::inference::{FitCost, FittedBatch, InferError, StopReason};
use gap_model::LatentVariableModel;
use gap_torch::SeedKey;

/// The comparison of one datapoint's endpoints.
pub struct EndComparison {
    /// The index of the best endpoint.
    pub best: usize,
    /// How far the ELBO of the worst endpoint is below that of the best, nats. NaN if one failed; `None` with
    /// a single endpoint.
    pub apart_nats: Option<f64>,
    /// `−L` at each endpoint, nats, on common draws; none with a single endpoint.
    pub losses: Vec<f64>,
}

/// The number of draws on which endpoints are compared; all of them see the same draws.
pub const N_SELECTION_DRAWS: usize = 256;

/// Compares the endpoints of each datapoint in `rows`. `ends` has the states of all datapoints for each
/// start.
///
/// # Errors
///
/// [`InferError::Model`] if sizes do not fit.
pub fn compare_all_ends(
    objective: &mut Objective,
    ends: &mut [Vec<SearchState>],
    rows: &[usize],
    key: SeedKey,
) -> Result<Vec<EndComparison>, InferError> {
    if ends.len() == 1 {
        let only = |_: &usize| EndComparison {
            best: 0,
            apart_nats: None,
            losses: Vec::new(),
        };
        return Ok(rows.iter().map(only).collect());
    }
    let mut losses: Vec<Vec<f64>> = Vec::with_capacity(ends.len());
    for states in ends.iter_mut() {
        losses.push(state_losses(
            objective,
            states,
            rows,
            N_SELECTION_DRAWS,
            key,
        )?);
    }
    let compare = |(i, &row): (usize, &usize)| {
        let losses: Vec<f64> = losses.iter().map(|losses| losses[i]).collect();
        let failed: Vec<bool> = ends.iter().map(|e| e[row].failed_at.is_some()).collect();
        compare_ends(losses, &failed)
    };
    Ok(rows.iter().enumerate().map(compare).collect())
}

/// Compares endpoints by their losses. One that failed, or whose loss is NaN, is worse than all others.
fn compare_ends(losses: Vec<f64>, failed: &[bool]) -> EndComparison {
    let better = |&a: &usize, &b: &usize| {
        let lost = |i: usize| failed[i] || losses[i].is_nan();
        lost(a).cmp(&lost(b)).then(losses[a].total_cmp(&losses[b]))
    };
    let best = (0..losses.len()).min_by(better).expect("there is a start");
    let worst = (0..losses.len()).max_by(better).expect("there is a start");
    let apart = losses[worst] - losses[best];
    let any_failed = failed.iter().any(|&failed| failed);
    EndComparison {
        best,
        apart_nats: Some(if any_failed { f64::NAN } else { apart }),
        losses,
    }
}

/// Returns the best endpoint of one datapoint, with the cost of all its ascents. If `mean_counts` and all
/// endpoints are at one optimum, its parameters are replaced by the mean over the endpoints.
pub fn best_end_with_total_cost(
    ends: &[&SearchState],
    best: usize,
    mean_counts: bool,
) -> SearchState {
    let mut best_end = ends[best].clone();
    best_end.steps = ends.iter().map(|end| end.steps).sum();
    best_end.steps_left = ends
        .iter()
        .fold(0, |sum, end| sum.saturating_add(end.steps_left));
    best_end.seconds = ends.iter().map(|end| end.seconds).sum();
    best_end.joint_gradients = ends.iter().map(|end| end.joint_gradients).sum();
    let is_near = |end: &&SearchState| {
        end.failed_at.is_none() && best_end.second_order_kl_nats(end) < SAME_OPTIMUM_DISTANCE_NATS
    };
    if mean_counts && ends.iter().all(is_near) {
        best_end.params = mean_params(ends);
    }
    best_end
}

/// Endpoints nearer to the best one than this count as being at the same optimum, nats.
const SAME_OPTIMUM_DISTANCE_NATS: f64 = 0.05;

fn mean_params(ends: &[&SearchState]) -> Vec<f64> {
    let sum = |i: usize| ends.iter().map(|end| end.params[i]).sum::<f64>();
    (0..ends[0].params.len())
        .map(|i| sum(i) / ends.len() as f64)
        .collect()
}

/// For each datapoint, the endpoint that its search keeps.
pub struct BestEnds {
    /// The states, each with the steps, time and gradients of all its starts.
    pub best_states: Vec<SearchState>,
    pub won_by: Vec<usize>,
    pub apart_nats: Vec<Option<f64>>,
    pub optima: Vec<Option<FoundOptima>>,
}

/// The optima that the starts of one datapoint led to.
#[derive(Clone, Debug)]
pub struct FoundOptima {
    pub census: OptimaCensus,
    /// The parameters of each optimum but the first, whose `q` the search returns, and the loss there above
    /// that of the first, nats.
    pub others: Vec<(Vec<f64>, f64)>,
}

/// Returns the parameters and costs of `states`, with their stop reasons, as the result of a search.
pub fn fitted_batch_from_states(
    states: &[SearchState],
    stops: Vec<StopReason>,
    model: &dyn LatentVariableModel,
) -> FittedBatch {
    let params: Vec<&[f64]> = states.iter().map(|c| c.params.as_slice()).collect();
    FittedBatch {
        params: VariationalParams::of_kind(&params, model.kind(), model.device()),
        stops,
        costs: states.iter().map(fit_cost_of_state).collect(),
    }
}

/// Returns the stop reason of a failed state. For other states it is a placeholder until they are certified.
pub fn stop_of_failed_state(state: &SearchState) -> StopReason {
    StopReason::NonFinite {
        step: state.failed_at.unwrap_or(0),
    }
}

const fn fit_cost_of_state(state: &SearchState) -> FitCost {
    FitCost {
        seconds: state.seconds,
        joint_gradients: state.joint_gradients,
    }
}
