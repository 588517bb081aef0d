//! When a datapoint's phase of an ascent is over.

use super::evaluation::Evaluation;
use super::step_rule::Progress;

/// A rule to stop by. Every phase has a largest number of evaluations besides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stopping {
    /// When an iterate's step promises less than this, nats.
    Decrement {
        /// The threshold, nats.
        below_nats: f64,
    },
    /// When what is left after averaging all blocks is estimated to be less than this, nats: for
    /// [`super::Rule::AveragedNewton`], whose steps promise mostly the noise of one block.
    AveragedDecrement {
        /// The threshold, nats.
        below_nats: f64,
    },
    /// When the mean loss over a block of steps has not improved for more than a number of blocks.
    Plateau {
        /// Steps in a block.
        block: u32,
        /// Blocks without improvement.
        patience: u32,
    },
    /// Only when the evaluations are spent.
    Never,
}

impl Stopping {
    /// That of the published local optimisation: more than 10 blocks of 100 steps.
    pub const CREMER_2018: Self = Self::Plateau {
        block: 100,
        patience: 10,
    };

    /// Whether it needs the value of the loss, besides what the step rule needs.
    pub(super) const fn reads_loss(self) -> bool {
        matches!(self, Self::Plateau { .. })
    }
}

/// The state of a stopping rule for one datapoint.
pub struct StoppingState {
    stopping: Stopping,
    iterates: u32,
    sum: f64,
    drawn: f64,
    best: f64,
    stale: u32,
}

/// Blocks before an averaged decrement is believed.
const FEWEST_BLOCKS: u32 = 3;

impl StoppingState {
    pub const fn new(stopping: Stopping) -> Self {
        Self {
            stopping,
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
        match self.stopping {
            Stopping::Never => false,
            Stopping::Decrement { below_nats } => decrement < below_nats,
            Stopping::AveragedDecrement { below_nats } => {
                let (own, before) = (n_samples as f64, self.drawn);
                self.drawn += own;
                if self.iterates > 1 {
                    // The block is noisy itself, and so is the average that it starts from.
                    self.sum += decrement / (own.recip() + before.recip());
                }
                let of_one_draw = self.sum / (t - 1.0);
                self.iterates >= FEWEST_BLOCKS && of_one_draw * 1.125 / self.drawn < below_nats
            }
            Stopping::Plateau { block, patience } => {
                self.sum += evaluation.loss_nats();
                if !self.iterates.is_multiple_of(block) {
                    return false;
                }
                let mean = self.sum / f64::from(block);
                self.sum = 0.0;
                self.stale = if mean < self.best { 0 } else { self.stale + 1 };
                self.best = self.best.min(mean);
                self.stale > patience
            }
        }
    }
}
