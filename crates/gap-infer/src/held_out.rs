//! Compares `q`s of the same datapoints on draws that no ascent has used.

use crate::ascent::{Evaluation, EvaluationRequest, NoiseDraws, Objective, SearchState};
use crate::inference::InferError;
use crate::remaining::{Remaining, resolution_nats};
use gap_torch::SeedKey;
use std::time::Instant;

/// The number of sets of draws, whose scatter gives the standard error of a comparison.
pub const N_HELD_OUT_DRAW_SETS: u64 = 4;

/// A gain is certain if it is more than this many standard errors above 0: the 99% point of Student's
/// distribution for four sets.
const CERTAIN_GAIN_STD_ERRORS: f64 = 4.54;

/// What one datapoint's `q` comes to on each set of draws.
#[derive(Clone, Default)]
pub struct HeldOutValues {
    /// `−L`, nats.
    losses: Vec<f64>,
    /// See [`Evaluation::evidence_gap`]; NaN for Gaussians.
    evidence_gaps: Vec<f64>,
    resolution_nats: f64,
}

impl HeldOutValues {
    /// The distance to the posterior itself, which bounds that to the optimum of the family. Like the
    /// importance weights, it does not know of modes that `q` does not reach.
    pub fn remaining_to_posterior(&self) -> Remaining {
        let (nats, std_error_nats) = mean_and_std_error(&self.evidence_gaps);
        Remaining {
            nats,
            std_error_nats,
            least_curvature_bound_nats: nats + 2.0 * std_error_nats,
            resolution_nats: self.resolution_nats,
        }
    }

    /// The mean of `−L` over the sets, nats.
    pub fn mean_loss_nats(&self) -> f64 {
        mean_and_std_error(&self.losses).0
    }

    /// The estimated gain in ELBO from `before` to this.
    pub fn gain_over(&self, before: &Self) -> HeldOutGain {
        let pairs = before.losses.iter().zip(&self.losses);
        let gains: Vec<f64> = pairs.map(|(before, after)| before - after).collect();
        let (nats, std_error_nats) = mean_and_std_error(&gains);
        HeldOutGain {
            nats,
            std_error_nats,
            resolution_nats: self.resolution_nats,
        }
    }
}

/// An estimated gain in ELBO, nats.
#[derive(Clone, Copy)]
pub struct HeldOutGain {
    nats: f64,
    std_error_nats: f64,
    resolution_nats: f64,
}

impl HeldOutGain {
    /// Whether it is more than its noise; false for NaN.
    pub fn is_certain(self) -> bool {
        self.nats > CERTAIN_GAIN_STD_ERRORS * self.std_error_nats
    }

    /// Returns what is left to gain after a round with this gain, which ended by ascents that were
    /// `spread_nats` from their mean. Its absolute value is the estimate: a round that lost and was undone does
    /// not count as converged, since smaller steps may gain as much as it lost. See `free_form/rounds.rs` for
    /// the bound.
    pub fn as_remaining_after(self, spread_nats: f64) -> Remaining {
        let nats = self.nats.abs();
        let bound = 1.5 * nats + 2.0 * spread_nats.abs() + 2.0 * self.std_error_nats;
        Remaining {
            nats,
            std_error_nats: self.std_error_nats,
            least_curvature_bound_nats: bound,
            resolution_nats: self.resolution_nats,
        }
    }

    /// Returns what there was to gain before a round with this gain: the gain, and what is left after it.
    pub fn as_remaining_before(self, spread_nats: f64) -> Remaining {
        let after = self.as_remaining_after(spread_nats);
        Remaining {
            nats: self.nats + after.nats,
            least_curvature_bound_nats: after.nats + after.least_curvature_bound_nats,
            ..after
        }
    }
}

/// Evaluates each of `rows` on every set of `n_samples` draws.
///
/// # Errors
///
/// [`InferError::Model`] if sizes do not fit.
pub fn values_by_draw_set(
    objective: &mut Objective,
    states: &mut [SearchState],
    rows: &[usize],
    n_samples: usize,
    key: SeedKey,
) -> Result<Vec<HeldOutValues>, InferError> {
    let new = HeldOutValues {
        resolution_nats: resolution_nats(objective.kind()),
        ..HeldOutValues::default()
    };
    let mut values_by_row = vec![new; rows.len()];
    for set in 0..N_HELD_OUT_DRAW_SETS {
        let key = key.for_index(set);
        let values = state_values(objective, states, rows, n_samples, key)?;
        for (of_row, value) in values_by_row.iter_mut().zip(values) {
            of_row.losses.push(value.loss_nats());
            of_row
                .evidence_gaps
                .push(value.evidence_gap.unwrap_or(f64::NAN));
        }
    }
    Ok(values_by_row)
}

/// Returns `−L` of each of `rows` on the same `n_samples` draws of `key`, and adds the cost to the states.
///
/// # Errors
///
/// [`InferError::Model`] if sizes do not fit.
pub fn state_losses(
    objective: &mut Objective,
    states: &mut [SearchState],
    rows: &[usize],
    n_samples: usize,
    key: SeedKey,
) -> Result<Vec<f64>, InferError> {
    let evaluations = state_values(objective, states, rows, n_samples, key)?;
    Ok(evaluations.iter().map(|e| e.loss_nats()).collect())
}

/// As [`state_losses`], with everything that the evaluations computed.
fn state_values(
    objective: &mut Objective,
    states: &mut [SearchState],
    rows: &[usize],
    n_samples: usize,
    key: SeedKey,
) -> Result<Vec<Evaluation>, InferError> {
    let clock = Instant::now();
    let draws = NoiseDraws::whitened(key, n_samples, objective.draw_space());
    let request = EvaluationRequest {
        loss: true,
        ..EvaluationRequest::GRADIENT_ONLY
    };
    let params: Vec<&[f64]> = rows
        .iter()
        .map(|&row| states[row].params.as_slice())
        .collect();
    let evaluations = objective.evaluate(rows, &params, &draws, request)?;
    let share = clock.elapsed().as_secs_f64() / rows.len().max(1) as f64;
    for &row in rows {
        states[row].seconds += share;
        states[row].joint_gradients += n_samples as u64;
    }
    Ok(evaluations)
}

fn mean_and_std_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let scatter: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (scatter / (n - 1.0) / n).sqrt())
}
