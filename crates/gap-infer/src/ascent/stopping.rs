//! When a datapoint's phase of an ascent is over.

use super::evaluation::Evaluation;
use super::stepper::Progress;
use gap_spec::{Phase, StoppingRule};

/// Steps in a block of a plateau, and blocks without improvement that it waits for.
const PLATEAU_BLOCK: u32 = 100;
const PLATEAU_PATIENCE: u32 = 10;

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

/// Blocks before an averaged decrement is believed.
const FEWEST_BLOCKS: u32 = 3;

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

    /// Whether the datapoint is done, told of its newest iterate and of the draws it was found on.
    pub fn done(&mut self, progress: Progress, evaluation: &Evaluation, n_samples: usize) -> bool {
        let decrement = match progress {
            Progress::Searching => return false,
            Progress::Stuck => return true,
            Progress::Iterate { decrement } => decrement,
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
                    // The block is noisy itself, and so is the average that it starts from.
                    self.sum += decrement / (own.recip() + before.recip());
                }
                let one_draw = self.sum / (t - 1.0);
                self.iterates >= FEWEST_BLOCKS && one_draw * 1.125 / self.drawn < self.below_nats
            }
            StoppingRule::Plateau => {
                self.sum += evaluation.loss_nats();
                if !self.iterates.is_multiple_of(PLATEAU_BLOCK) {
                    return false;
                }
                let mean = self.sum / f64::from(PLATEAU_BLOCK);
                self.sum = 0.0;
                self.stale = if mean < self.best { 0 } else { self.stale + 1 };
                self.best = self.best.min(mean);
                self.stale > PLATEAU_PATIENCE
            }
        }
    }
}
