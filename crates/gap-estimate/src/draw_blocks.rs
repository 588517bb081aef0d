//! Where consecutive blocks of draws end, and what the estimate was there.

use gap_spec::{BlockDeviations, N_DRAW_BLOCKS};

/// The state of an estimate, of type `T`, at the end of each of [`N_DRAW_BLOCKS`] blocks of draws.
pub struct DrawBlocks<T> {
    n_samples: u64,
    /// The number of draws at the end of the next block; 0 if there is none.
    next_end: u64,
    ends: Vec<(u64, T)>,
}

impl<T> DrawBlocks<T> {
    /// For an estimate from `n_samples` draws. There are no blocks if there are fewer draws.
    pub const fn new(n_samples: u64) -> Self {
        Self {
            n_samples,
            next_end: n_samples / N_DRAW_BLOCKS as u64,
            ends: Vec::new(),
        }
    }

    /// Takes note of the `state` after `count` draws, if a block ends there.
    pub fn note(&mut self, count: u64, state: impl FnOnce() -> T) {
        if count == self.next_end {
            self.ends.push((count, state()));
            let n = N_DRAW_BLOCKS as u64;
            let next = self.ends.len() as u64 + 1;
            // In this order, no product overflows: a block is at least one draw.
            let end = |block: u64| self.n_samples / n * block + self.n_samples % n * block / n;
            self.next_end = if next <= n { end(next) } else { 0 };
        }
    }

    /// The deviations of the blocks: `deviation` computes one from the states before and after a block and the number
    /// of its draws. `None` if not all blocks have ended, or a deviation is not finite.
    pub fn deviations(
        &self,
        deviation: impl Fn(Option<&T>, &T, f64) -> f64,
    ) -> Option<BlockDeviations> {
        let mut deviations = [0.0; N_DRAW_BLOCKS];
        if self.ends.len() != N_DRAW_BLOCKS {
            return None;
        }
        let mut before: Option<&(u64, T)> = None;
        for (place, end) in deviations.iter_mut().zip(&self.ends) {
            let n_before = before.map_or(0, |(count, _)| *count);
            let n_own = (end.0 - n_before) as f64;
            *place = deviation(before.map(|(_, state)| state), &end.1, n_own) as f32;
            before = Some(end);
        }
        let all_finite = deviations.iter().all(|d| d.is_finite());
        all_finite.then_some(BlockDeviations(deviations))
    }
}
