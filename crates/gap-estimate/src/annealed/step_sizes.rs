//! The step size of each datapoint's chains, found before they begin and fixed from then on.
//!
//! A step size that goes on adapting while weights are taken makes the transitions depend on the
//! chains' past, and the estimate is no bound any more; one that adapts to the mean over a batch lets
//! datapoints influence each other. Here each datapoint has a short run of its own, with its own draws,
//! whose chains are thrown away.

use super::chains::{Chains, HmcSettings, TransitionSettings};
use super::initial_gaussian::InitialGaussian;
use crate::estimate::EstimateError;
use gap_data::Batch;
use gap_model::LatentVariableModel;
use gap_torch::SeedKey;

/// The mean acceptance that is aimed at. With trajectories of a fixed number of steps the most is
/// travelled between 0.6 and 0.9 (Beskos et al. 2013; Betancourt et al. 2014).
const TARGET_ACCEPTANCE: f64 = 0.8;

/// Transitions of the short run: half of them along the path, half at its end, where distributions are
/// the narrowest.
const ADAPTATION_TRANSITIONS: u32 = 48;

/// Chains of the short run.
const ADAPTATION_CHAINS: usize = 4;

/// Where the search begins: in the units of a good initial Gaussian the posterior is about 1 wide.
const INITIAL_STEP_SIZE: f64 = 0.3;

/// The longest trajectory, in the initial Gaussian's units. Where the posterior is as wide as the initial
/// Gaussian a trajectory turns by its length; the log-ratio there is nearly even around the middle, and half
/// a turn would give it back unchanged. On linear-Gaussian models in 10 and 50 dimensions the standard error is
/// the least for lengths from 1.6 to 2.5, and twice that for 4, whatever the number of steps.
const MAX_TRAJECTORY_LENGTH: f64 = 2.0;

/// A step size for each datapoint, `[B]`, by stochastic approximation (Robbins and Monro 1951) of its
/// logarithm; the mean over the last half of the run is kept (Polyak and Juditsky 1992).
pub fn adapt_step_sizes(
    model: &dyn LatentVariableModel,
    initial: &InitialGaussian,
    batch: &Batch,
    transitions: HmcSettings,
    key: SeedKey,
) -> Result<Vec<f64>, EstimateError> {
    let n_points = initial.n_points();
    let key = key.for_role("step-size");
    let mut chains =
        Chains::from_initial_draws(model, initial, batch, ADAPTATION_CHAINS, transitions, key)?;
    let mut log_steps = vec![INITIAL_STEP_SIZE.ln(); n_points];
    let mut kept = vec![0.0; n_points];
    let half = ADAPTATION_TRANSITIONS / 2;
    let longest = MAX_TRAJECTORY_LENGTH / f64::from(transitions.leapfrog_steps);
    for t in 0..ADAPTATION_TRANSITIONS {
        let step_sizes: Vec<f64> = log_steps.iter().map(|s| s.exp()).collect();
        chains.advance(&TransitionSettings {
            beta: (f64::from(t + 1) / f64::from(half)).min(1.0),
            step_sizes: &step_sizes,
        })?;
        let rate = 1.5 / f64::from(t + 1).sqrt();
        for (point, log_step) in log_steps.iter_mut().enumerate() {
            let own = chains.acceptance_probabilities()[point..]
                .iter()
                .step_by(n_points);
            let mean = own.sum::<f64>() / ADAPTATION_CHAINS as f64;
            *log_step = (*log_step + rate * (mean - TARGET_ACCEPTANCE)).min(longest.ln());
            if t >= half {
                kept[point] += *log_step / f64::from(ADAPTATION_TRANSITIONS - half);
            }
        }
    }
    Ok(kept.into_iter().map(f64::exp).collect())
}

/// Joint evaluations that [`adapt_step_sizes`] costs for each datapoint.
pub fn n_adaptation_evaluations(transitions: HmcSettings) -> u64 {
    ADAPTATION_CHAINS as u64
        * (2 + u64::from(ADAPTATION_TRANSITIONS) * evaluations_per_transition(transitions))
}

/// A gradient for each leapfrog step, and a value at the end.
pub const fn evaluations_per_transition(transitions: HmcSettings) -> u64 {
    transitions.leapfrog_steps as u64 + 1
}
