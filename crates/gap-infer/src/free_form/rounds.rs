//! The search in families whose curvature is unknown: rounds of Adam, each about as long as all before it
//! together, until the gain of a round is small.
//!
//! These families cannot be certified like Gaussians: the certificate weights products of gradients with an
//! inverse curvature, which is unknown here. A diagonal estimate of it would count a direction once for each
//! parameter that moves `q` along it, and small networks have many such parameters. So the gain of the ascent
//! itself is used. A round takes twice the steps of the one before, and from the third round on twice the draws
//! (256 at most) at half the step size. Its gain, on draws that no ascent has used, is the estimate of what is
//! left to gain.
//!
//! Measured on a 10-64-64-64 decoder of digits with 24 datapoints, against 4,000 to 8,000 further steps on
//! 256 draws. A cell has the gain that was left as a multiple of the last round's gain (10th, 50th and 90th
//! percentile), and its mean.
//!
//! | after rounds of up to | affine flow | planar flow | mixture |
//! |---|---|---|---|
//! | 300 steps | 0.68, 1.25, 2.35; 0.035 nats | 0.62, 0.96, 1.89; 0.025 | 0.11, 0.41, 1.03; 0.007 |
//! | 600 steps | 0.53, 0.83, 1.37; 0.016 | 0.43, 0.59, 1.14; 0.009 | 0.02, 0.15, 0.59; 0.001 |
//! | 1,200 steps | 0.63, 0.94, 1.33; 0.008 | 0.29, 0.64, 1.26; 0.004 | −0.5, 0.12, 0.58; 0.0001 |
//!
//! So the bound, 1.5 times the gain plus two standard errors, holds for about nine datapoints in ten, and for
//! fewer if the search ends after two rounds. It does not see better optima elsewhere, nor a plateau that takes
//! longer than a round to cross.

use super::FreeFormInference;
use super::best_end::stop_of_failed_state;
use crate::ascent::{Objective, SearchState, run_phase};
use crate::held_out::values_by_draw_set;
use crate::inference::{InferError, StopReason};
use gap_spec::{AdamSettings, NoiseSource, Phase, StepRule};
use gap_torch::SeedKey;

/// The most rounds of a search, each with twice the steps of the one before.
pub const MAX_ROUNDS: u32 = 6;

/// The steps and the draws of the first round.
const FIRST_ROUND_STEPS: u32 = 150;
const FIRST_ROUND_DRAWS: u32 = 32;
/// The most draws of a round.
const MAX_DRAWS_PER_ROUND: u32 = 256;

/// The number of draws in each set on which a round's gain is measured.
const DRAWS_PER_HELD_OUT_SET: usize = 256;

impl FreeFormInference<'_> {
    /// Runs at most `most_rounds` rounds for each datapoint, until the bound on its remaining gain is below the
    /// tolerance or it has taken `max_steps` steps.
    pub(super) fn ascend_in_rounds(
        &self,
        objective: &mut Objective,
        states: &mut [SearchState],
        ids: &[u64],
        most_rounds: u32,
        key: SeedKey,
    ) -> Result<Vec<StopReason>, InferError> {
        let mut stops: Vec<StopReason> = states.iter().map(stop_of_failed_state).collect();
        let mut rows: Vec<usize> = (0..states.len())
            .filter(|&row| states[row].failed_at.is_none())
            .collect();
        let held_out = key.for_role("gain");
        let mut before =
            values_by_draw_set(objective, states, &rows, DRAWS_PER_HELD_OUT_SET, held_out)?;
        for (&row, values) in rows.iter().zip(&before) {
            stops[row] =
                self.stop_from_remaining(&mut states[row], values.remaining_to_posterior());
        }
        let is_open = |stop: StopReason| matches!(stop, StopReason::BudgetSpent { steps, .. } if steps < self.max_steps);
        for round in 0..most_rounds {
            (rows, before) = rows
                .into_iter()
                .zip(before)
                .filter(|(row, _)| is_open(stops[*row]))
                .unzip();
            if rows.is_empty() {
                break;
            }
            let starts: Vec<Vec<f64>> =
                rows.iter().map(|&row| states[row].params.clone()).collect();
            for &row in &rows {
                let params = std::mem::take(&mut states[row].params);
                states[row].params = self.family.move_off_saddle(params);
            }
            let phase = adam_phase_of_round(round);
            let round_key = key.for_role("round").for_index(u64::from(round));
            run_phase(
                objective,
                &phase,
                &rows,
                states,
                ids,
                round_key,
                &mut |_| (),
            )?;
            let after =
                values_by_draw_set(objective, states, &rows, DRAWS_PER_HELD_OUT_SET, held_out)?;
            for (i, (after, start)) in after.into_iter().zip(starts).enumerate() {
                let row = rows[i];
                let gain = after.gain_over(&before[i]);
                let state = &mut states[row];
                // A round whose gain is within its noise is undone.
                let is_better = gain.is_certain();
                if is_better {
                    before[i] = after;
                } else {
                    state.params = start;
                }
                if state.failed_at.is_some() {
                    stops[row] = stop_of_failed_state(state);
                    continue;
                }
                let by_gain = gain.as_remaining_estimate();
                let to_posterior = before[i].remaining_to_posterior();
                let tightest = if to_posterior.upper_bound_nats() < by_gain.upper_bound_nats() {
                    to_posterior
                } else {
                    by_gain
                };
                stops[row] = self.stop_from_remaining(state, tightest);
            }
        }
        Ok(stops)
    }
}

/// Returns the phase of a round: Adam on a sequence of Sobol draws, with averaged iterates.
fn adam_phase_of_round(round: u32) -> Phase {
    let rate = AdamSettings::FLOW_DEFAULTS.learning_rate;
    Phase {
        adam: AdamSettings {
            learning_rate: rate / f64::from(1_u32 << round.saturating_sub(1)),
            ..AdamSettings::FLOW_DEFAULTS
        },
        noise: NoiseSource::Sequence,
        n_samples: (FIRST_ROUND_DRAWS << round.saturating_sub(1)).min(MAX_DRAWS_PER_ROUND),
        ..Phase::new(StepRule::Adam, FIRST_ROUND_STEPS << round)
    }
}
