//! Decides when a datapoint's phase of an ascent is over.

use super::stepper::StepOutcome;
use gap_spec::{Phase, StoppingRule};

/// Steps per block of [`StoppingRule::Plateau`], and the number of blocks in a row without improvement that
/// it tolerates.
const PLATEAU_BLOCK_STEPS: u32 = 100;
const PLATEAU_PATIENCE_BLOCKS: u32 = 10;

/// The state of a stopping rule for one datapoint.
pub struct StoppingState {
    rule: StoppingRule,
    below_nats: f64,
    iterates: u32,
    sum: f64,
    drawn: f64,
    best: f64,
    stale: u32,
}

/// The fewest blocks of draws after which [`StoppingRule::AveragedDecrement`] may end a phase.
const MIN_BLOCKS_BEFORE_STOPPING: u32 = 3;

impl StoppingState {
    pub const fn new(phase: &Phase) -> Self {
        Self {
            rule: phase.stopping,
            below_nats: phase.below_nats,
            iterates: 0,
            sum: 0.0,
            drawn: 0.0,
            best: f64::INFINITY,
            stale: 0,
        }
    }

    /// Takes note of the latest step and returns whether the datapoint is done. `loss` is that of the
    /// step's trial, on `n_samples` draws, if the rule reads it, and `progress` the step rule's outcome for it.
    pub fn update_and_check_stopping(
        &mut self,
        progress: StepOutcome,
        loss: Option<f64>,
        n_samples: usize,
    ) -> bool {
        let decrement = match progress {
            StepOutcome::Searching => return false,
            StepOutcome::Stuck => return true,
            StepOutcome::Iterate { decrement } => decrement,
        };
        self.iterates += 1;
        let t = f64::from(self.iterates);
        match self.rule {
            StoppingRule::Never => false,
            StoppingRule::Decrement => decrement < self.below_nats,
            StoppingRule::AveragedDecrement => {
                let (own, before) = (n_samples as f64, self.drawn);
                self.drawn += own;
                if self.iterates > 1 {
                    // Near the optimum the decrement consists of the block's noise (∝ 1 / own) and of that of
                    // the iterate, an average over earlier draws (∝ 1 / before). The quotient is the value
                    // for one draw.
                    self.sum += decrement / (own.recip() + before.recip());
                }
                let one_draw = self.sum / (t - 1.0);
                self.iterates >= MIN_BLOCKS_BEFORE_STOPPING
                    && one_draw * 1.125 / self.drawn < self.below_nats
            }
            StoppingRule::Plateau => {
                self.sum += loss.expect("a rule that reads the loss asks for it");
                if !self.iterates.is_multiple_of(PLATEAU_BLOCK_STEPS) {
                    return false;
                }
                let mean = self.sum / f64::from(PLATEAU_BLOCK_STEPS);
                self.sum = 0.0;
                self.stale = if mean < self.best { 0 } else { self.stale + 1 };
                self.best = self.best.min(mean);
                self.stale > PLATEAU_PATIENCE_BLOCKS
            }
        }
    }
}
