//! The step size of each datapoint's chains, which is found before they begin and then stays fixed.
//!
//! If the step size still adapted while weights accumulate, transitions would depend on the chains' past, and
//! the estimate would no longer be a bound. If it adapted to the mean over a batch, datapoints would
//! influence each other. Here each datapoint has a short adaptation run of its own, with its own draws, whose
//! chains are thrown away.

use super::chains::{Chains, HmcSettings, TransitionSettings};
use super::initial_gaussian::InitialGaussian;
use crate::estimate::EstimateError;
use gap_data::Batch;
use gap_model::{FloatNumber, LatentVariableModel};
use gap_torch::SeedKey;

/// The mean acceptance probability that is aimed at. Trajectories with a fixed number of steps travel
/// farthest between 0.6 and 0.9 (Beskos et al. 2013; Betancourt et al. 2014).
const TARGET_ACCEPTANCE: f64 = 0.8;

/// The number of transitions of the adaptation run: half of them along the path, half at its end, where
/// distributions are narrowest.
const ADAPTATION_TRANSITIONS: u32 = 48;

/// The number of chains of the adaptation run for each datapoint.
const ADAPTATION_CHAINS: usize = 4;

/// The step size that adaptation starts from. In the units of a good initial Gaussian the posterior is about
/// 1 wide.
const INITIAL_STEP_SIZE: f64 = 0.3;

/// The largest length of a trajectory, in the initial Gaussian's units.
///
/// Where the posterior is as wide as the initial Gaussian, a trajectory rotates position and momentum by its
/// length in radians. There `log (p(x, z) / q(z))` is nearly symmetric about the mean, so half a turn would
/// hardly change it. On linear-Gaussian models in 10 and 50 dimensions the standard error is smallest for
/// lengths from 1.6 to 2.5, and twice as large for 4, whatever the number of steps.
const MAX_TRAJECTORY_LENGTH: f64 = 2.0;

/// Returns a step size for each datapoint, `[B]`. Its logarithm is found by stochastic approximation (Robbins
/// and Monro 1951), and averaged over the last half of the run (Polyak and Juditsky 1992).
pub fn adapt_step_sizes<T: FloatNumber>(
    model: &dyn LatentVariableModel,
    initial: &InitialGaussian,
    batch: &Batch,
    transitions: HmcSettings,
    key: SeedKey,
) -> Result<Vec<f64>, EstimateError> {
    let n_points = initial.n_points();
    let key = key.for_role("step-size");
    let mut chains: Chains<T> =
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

/// Returns the number of joint evaluations that [`adapt_step_sizes`] costs for each datapoint.
pub fn n_adaptation_evaluations(transitions: HmcSettings) -> u64 {
    ADAPTATION_CHAINS as u64
        * (2 + u64::from(ADAPTATION_TRANSITIONS) * evaluations_per_transition(transitions))
}

/// Returns the joint evaluations of one transition: a gradient for each leapfrog step, and a value at the
/// end.
pub const fn evaluations_per_transition(transitions: HmcSettings) -> u64 {
    transitions.leapfrog_steps as u64 + 1
}
